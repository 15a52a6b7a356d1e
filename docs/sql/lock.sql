-- lock
--
-- Lock import :the_import, if it is in progress and :token waits for it still.
--
-- Used by Imports.finish.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'
-- \set token '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
SELECT crm_sync.imports.id
FROM crm_sync.imports
WHERE crm_sync.imports.id = :'the_import'::UUID
    AND crm_sync.imports.destination = :'destination_1'::VARCHAR
    AND crm_sync.imports.claim_token = :'token'::UUID
    AND crm_sync.imports.finished_at IS NULL
FOR
UPDATE;
