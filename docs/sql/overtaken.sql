-- overtaken
--
-- Those of import :the_import, if :token waits for it, that it has not claimed any more: another
-- worker has.
--
-- Used by Imports.overtaken.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'
-- \set token '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
SELECT crm_sync.import_contacts.contact_id,
    crm_sync.import_contacts.contact_hash,
    crm_sync.import_contacts.payload_hash,
    crm_sync.import_contacts.address_hash,
    crm_sync.import_contacts.message,
    crm_sync.import_contacts.remote_fields
FROM crm_sync.import_contacts
JOIN crm_sync.imports ON crm_sync.imports.id = crm_sync.import_contacts.import_id
LEFT OUTER JOIN crm_sync.deliveries ON crm_sync.deliveries.contact_id = crm_sync.import_contacts.contact_id
    AND crm_sync.deliveries.destination = crm_sync.import_contacts.destination
WHERE crm_sync.imports.id = :'the_import'::UUID
    AND crm_sync.imports.destination = :'destination_1'::VARCHAR
    AND crm_sync.imports.claim_token = :'token'::UUID
    AND crm_sync.deliveries.claim_token IS DISTINCT FROM :'token'::UUID;
