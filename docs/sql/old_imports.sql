-- old_imports
--
-- Imports that ended more than :days ago.
--
-- Used by History.prune, old_imports.
--
-- Parameters:
-- \set days '300'

DELETE FROM crm_sync.imports WHERE crm_sync.imports.finished_at < now() - interval '1 day' * :'days';
