-- holders
--
-- Used by _HOLDERS, in_the_way.
--
-- Parameters:
-- \set schema 'public'
-- \set table 'contacts'

SELECT DISTINCT a.pid, a.usename AS role, a.application_name AS application
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.pid <> pg_backend_pid() AND a.datname = current_database()
  AND n.nspname = :'schema' AND (CAST(:'table' AS text) IS NULL OR c.relname = :'table')
ORDER BY a.pid LIMIT 3;
