-- valid
--
-- Used by _VALID, is_built.
--
-- Parameters:
-- \set name 'contacts'
-- \set schema 'public'

SELECT i.indisvalid
FROM pg_class x JOIN pg_index i ON i.indexrelid = x.oid JOIN pg_namespace n ON n.oid = x.relnamespace
WHERE x.relname = :'name' AND n.nspname = :'schema';
