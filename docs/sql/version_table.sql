-- version_table
--
-- Used by _VERSION_TABLE, _version.
--
-- Parameters:
-- \set schema 'public'

SELECT n.oid IS NOT NULL AS has_schema, c.oid IS NOT NULL AS has_version,
       c.oid IS NOT NULL AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
           AS is_readable
FROM (SELECT) AS one LEFT JOIN pg_namespace n ON n.nspname = :'schema'
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'alembic_version';
