-- begin
--
-- Write down that :total contacts of :token are about to be sent as import :the_import; a second time,
-- nothing.
--
-- Used by Imports.begin.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set by_run 'text'
-- \set total '100'
-- \set after_number '100'

\set destination 'brevo'
INSERT INTO crm_sync.imports (id, destination, claim_token, run_id, contacts, after_process_id)
VALUES (
    :'the_import'::UUID,
    :'destination'::VARCHAR,
    :'token'::UUID,
    :'by_run'::VARCHAR,
    :'total'::INTEGER,
    :'after_number'::BIGINT
)
ON CONFLICT (id) DO NOTHING;
