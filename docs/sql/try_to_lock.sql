-- try_to_lock
--
-- Without a parameter: PostgreSQL keeps the snapshot of a statement with one until the next statement.
--
-- Used by _TRY_TO_LOCK, _is_locked.

SELECT pg_try_advisory_xact_lock(1668443487);
