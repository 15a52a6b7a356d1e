-- count_entries
--
-- Import :the_import holds :total contacts.
--
-- Used by Imports.begin.
--
-- Parameters:
-- \set total '100'
-- \set the_import '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
UPDATE crm_sync.imports
SET contacts=:'total'::INTEGER
WHERE crm_sync.imports.id = :'the_import'::UUID AND crm_sync.imports.destination = :'destination_1'::VARCHAR;
