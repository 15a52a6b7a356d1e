-- of_token
--
-- The import in progress that :token waits for; at most one.
--
-- Used by Imports.of.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
SELECT crm_sync.imports.id,
    crm_sync.imports.process_id,
    crm_sync.imports.after_process_id,
    crm_sync.imports.contacts,
    EXTRACT(epoch FROM now() - crm_sync.imports.posted_at) AS age_seconds
FROM crm_sync.imports
WHERE crm_sync.imports.destination = :'destination_1'::VARCHAR
    AND crm_sync.imports.claim_token = :'token'::UUID
    AND crm_sync.imports.finished_at IS NULL;
