-- hiding
--
-- Used by _HIDING, _row_level_security.
--
-- Parameters:
-- \set schema 'public'
-- \set name 'contacts'
-- \set ours_in 'crm_sync'
-- \set ours '{deliveries}'

WITH 
    policies AS (
        SELECT polrelid AS relation, polpermissive AS permissive, polcmd::text AS command,
               pg_get_expr(polqual, polrelid) AS uses, pg_get_expr(polwithcheck, polrelid) AS checks
        FROM pg_policy WHERE EXISTS (
            SELECT FROM unnest(polroles) AS role
            WHERE CASE WHEN role = 0 THEN true ELSE pg_has_role(role, 'USAGE') END))

    SELECT current_user AS role, n.nspname AS schema, c.relname AS name,
           EXISTS (SELECT FROM policies p WHERE p.relation = c.oid AND NOT p.permissive) AS is_restricted
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND row_security_active(c.oid)
      AND CASE WHEN n.nspname = :'schema' AND c.relname = :'name' THEN NOT (
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
)
               WHEN n.nspname = :'ours_in' AND c.relname = ANY(:'ours')
                   THEN NOT (
    NOT EXISTS (
        SELECT FROM unnest(string_to_array('r,a,w,d', ',')) AS wanted(command)
        WHERE NOT EXISTS (
            SELECT FROM policies p WHERE p.relation = c.oid AND p.permissive AND p.command IN ('*', wanted.command)
              AND CASE wanted.command WHEN 'a' THEN coalesce(p.checks, p.uses) = 'true'
                                      ELSE p.uses = 'true' AND coalesce(p.checks, 'true') = 'true' END))
    AND NOT EXISTS (
        SELECT FROM policies p WHERE p.relation = c.oid AND NOT p.permissive
          AND p.command = ANY (string_to_array('*,r,a,w,d', ','))
          AND (p.uses <> 'true' OR p.checks <> 'true'))
)
               ELSE false END
    ORDER BY n.nspname <> :'schema', c.relname;
