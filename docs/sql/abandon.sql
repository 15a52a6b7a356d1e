-- abandon
--
-- End the lease of what the import of :token holds, so that the next claim adopts it.
--
-- Used by Imports.abandon.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'

\set param_1 1.0
\set destination_1 'brevo'
UPDATE crm_sync.deliveries
SET lease_expires_at=(now() - interval '1 second' * :'param_1')
FROM crm_sync.import_contacts, crm_sync.imports
WHERE crm_sync.deliveries.contact_id = crm_sync.import_contacts.contact_id
    AND crm_sync.deliveries.destination = crm_sync.import_contacts.destination
    AND crm_sync.import_contacts.import_id = crm_sync.imports.id
    AND crm_sync.imports.claim_token = :'token'::UUID
    AND crm_sync.deliveries.claim_token = :'token'::UUID
    AND crm_sync.deliveries.destination = :'destination_1'::VARCHAR
    AND CASE WHEN (crm_sync.deliveries.lease_expires_at > now()) THEN true ELSE false END;
