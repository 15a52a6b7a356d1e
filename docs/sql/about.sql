-- about
--
-- Used by _ABOUT, refusal.
--
-- Parameters:
-- \set role 'postgres'
-- \set schema 'public'
-- \set name 'contacts'
-- \set ours '{deliveries}'

SELECT CAST(:'role' AS text) AS role, current_database() AS database, pg_get_userbyid(d.datdba) AS database_owner,
       has_database_privilege(:'role', d.oid, 'CREATE') AS creates_schemas,
       n.nspname AS schema, has_schema_privilege(:'role', n.oid, 'USAGE') AS uses_schema,
       has_schema_privilege(:'role', n.oid, 'CREATE') AS creates_in_schema,
       pg_get_userbyid(c.relowner)::text AS table_owner, pg_has_role(:'role', c.relowner, 'USAGE') AS owns_table,
       has_table_privilege(:'role', c.oid, 'SELECT') AND has_table_privilege(:'role', c.oid, 'UPDATE') AS uses_table,
       has_schema_privilege(:'role', o.oid, 'CREATE') AS creates_in_ours,
       ARRAY(SELECT DISTINCT pg_get_userbyid(t.relowner)::text FROM pg_class t
             WHERE t.relnamespace = o.oid AND t.relkind = 'r') AS owners_of_ours,
       EXISTS (SELECT FROM pg_class t WHERE t.relnamespace = o.oid AND t.relkind = 'r'
               AND NOT pg_has_role(:'role', t.relowner, 'USAGE')) AS owns_not_all_of_ours
FROM pg_database d
LEFT JOIN pg_namespace n ON n.nspname = coalesce(CAST(:'schema' AS text), current_schema())
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = :'name' AND c.relkind = 'r'
LEFT JOIN pg_namespace o ON o.nspname = :'ours'
WHERE d.datname = current_database();
