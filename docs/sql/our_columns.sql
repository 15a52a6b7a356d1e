-- our_columns
--
-- Used by _OUR_COLUMNS, missing_of_ours.
--
-- Parameters:
-- \set schema 'public'

SELECT c.relname AS "table", a.attname AS "column"
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = :'schema' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped;
