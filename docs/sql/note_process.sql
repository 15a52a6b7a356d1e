-- note_process
--
-- The destination has called import :the_import its process :number.
--
-- Used by Imports.note_process.
--
-- Parameters:
-- \set number '100'
-- \set the_import '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
UPDATE crm_sync.imports
SET process_id=:'number'::BIGINT
WHERE crm_sync.imports.id = :'the_import'::UUID AND crm_sync.imports.destination = :'destination_1'::VARCHAR;
