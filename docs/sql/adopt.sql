-- adopt
--
-- From now on :token waits for import :the_import.
--
-- Used by Imports.adopt.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set by_run 'text'
-- \set the_import '00000000-0000-0000-0000-000000000000'

\set taken_up_1 1
\set destination_1 'brevo'
UPDATE crm_sync.imports
SET claim_token=:'token'::UUID,
    run_id=:'by_run'::VARCHAR,
    taken_up=(crm_sync.imports.taken_up + :'taken_up_1'::INTEGER)
WHERE crm_sync.imports.id = :'the_import'::UUID AND crm_sync.imports.destination = :'destination_1'::VARCHAR;
