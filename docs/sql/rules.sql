-- rules
--
-- Used by _RULES, rules_on_update.
--
-- Parameters:
-- \set schema 'public'
-- \set name 'contacts'

SELECT r.rulename
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :'schema' AND c.relname = :'name' AND r.ev_type = '2' AND r.ev_enabled IN ('O', 'A')
ORDER BY r.rulename;
