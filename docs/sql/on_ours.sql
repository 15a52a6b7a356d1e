-- on_ours
--
-- Used by _ON_OURS, check_ours.
--
-- Parameters:
-- \set schema 'public'
-- \set ours '{deliveries}'

SELECT current_user AS role, pg_get_userbyid(n.nspowner) AS owner, c.relname AS "table",
       has_schema_privilege(n.oid, 'USAGE') AS uses_schema,
       ARRAY(SELECT wanted FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS wanted
             WHERE NOT has_table_privilege(c.oid, wanted)) AS missing
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :'schema' AND c.relname = ANY(:'ours') AND c.relkind = 'r' ORDER BY c.relname;
