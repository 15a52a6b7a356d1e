-- finish
--
-- Import :the_import is over. Its row stays, so that its process is known as ours.
--
-- Used by Imports._give_up, Imports.finish.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
UPDATE crm_sync.imports
SET finished_at=now()
WHERE crm_sync.imports.id = :'the_import'::UUID
    AND crm_sync.imports.destination = :'destination_1'::VARCHAR
    AND crm_sync.imports.finished_at IS NULL;
