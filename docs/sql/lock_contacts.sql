-- lock_contacts
--
-- Lock the contacts of import :the_import in id order, as every writer of their deliveries does first.
--
-- Used by Imports.adopt.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
SELECT public.contacts.id AS id
FROM public.contacts
JOIN crm_sync.import_contacts ON crm_sync.import_contacts.contact_id = public.contacts.id
WHERE crm_sync.import_contacts.import_id = :'the_import'::UUID
    AND crm_sync.import_contacts.destination = :'destination_1'::VARCHAR
ORDER BY public.contacts.id
FOR NO KEY UPDATE OF contacts;
