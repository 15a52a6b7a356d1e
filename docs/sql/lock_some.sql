-- lock_some
--
-- Lock the contacts of the first :size of import :the_import in id order; what runs after that sees
-- the truth.
--
-- Used by Imports._settle_some.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'
-- \set size '100'

\set destination_1 'brevo'
\set param_1 1
WITH "some" AS MATERIALIZED (
    SELECT crm_sync.import_contacts.contact_id AS contact_id,
        crm_sync.import_contacts.destination AS destination,
        crm_sync.import_contacts.import_id AS import_id,
        crm_sync.import_contacts.contact_hash AS contact_hash,
        crm_sync.import_contacts.payload_hash AS payload_hash,
        crm_sync.import_contacts.address_hash AS address_hash,
        crm_sync.import_contacts.row_version AS row_version,
        crm_sync.import_contacts.message AS message,
        crm_sync.import_contacts.remote_fields AS remote_fields
    FROM crm_sync.import_contacts
    WHERE crm_sync.import_contacts.import_id = :'the_import'::UUID
        AND crm_sync.import_contacts.destination = :'destination_1'::VARCHAR
    ORDER BY crm_sync.import_contacts.contact_id
    LIMIT :'size'::INTEGER
)
SELECT count(*) AS count_1
FROM "some"
JOIN LATERAL (
    SELECT public.contacts.id AS id
    FROM public.contacts
    WHERE public.contacts.id = "some".contact_id
    LIMIT :'param_1'::INTEGER
    FOR NO KEY UPDATE
) AS locked ON true;
