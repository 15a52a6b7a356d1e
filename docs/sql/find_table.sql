-- find_table
--
-- Used by _FIND_TABLE, find_contacts_table.
--
-- Parameters:
-- \set name 'contacts'
-- \set schema 'public'

WITH 
    policies AS (
        SELECT polrelid AS relation, polpermissive AS permissive, polcmd::text AS command,
               pg_get_expr(polqual, polrelid) AS uses, pg_get_expr(polwithcheck, polrelid) AS checks
        FROM pg_policy WHERE EXISTS (
            SELECT FROM unnest(polroles) AS role
            WHERE CASE WHEN role = 0 THEN true ELSE pg_has_role(role, 'USAGE') END))

    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
           row_security_active(c.oid) AND NOT (
    NOT EXISTS (
        SELECT FROM unnest(string_to_array('r,w', ',')) AS wanted(command)
        WHERE NOT EXISTS (
            SELECT FROM policies p WHERE p.relation = c.oid AND p.permissive AND p.command IN ('*', wanted.command)
              AND CASE wanted.command WHEN 'a' THEN coalesce(p.checks, p.uses) = 'true'
                                      ELSE p.uses = 'true' AND coalesce(p.checks, 'true') = 'true' END))
    AND NOT EXISTS (
        SELECT FROM policies p WHERE p.relation = c.oid AND NOT p.permissive
          AND p.command = ANY (string_to_array('*,r,w', ','))
          AND (p.uses <> 'true' OR p.checks <> 'true'))
) AS hides_rows
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = :'name' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND CASE WHEN CAST(:'schema' AS text) IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = :'schema' END;
