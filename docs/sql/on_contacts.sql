-- on_contacts
--
-- Used by _ON_CONTACTS, _on_contacts.
--
-- Parameters:
-- \set written '{email}'
-- \set schema 'public'
-- \set name 'contacts'

SELECT current_user AS role, has_schema_privilege(n.oid, 'USAGE') AS uses_schema,
       has_table_privilege(c.oid, 'SELECT') AND coalesce(
           (SELECT bool_and(has_column_privilege(c.oid, a.attnum, 'UPDATE')) FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attname = ANY(:'written')), true) AS uses_table
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :'schema' AND c.relname = :'name' AND c.relkind = 'r';
