-- time_outs_of_its_own
--
-- Used by _TIME_OUTS_OF_ITS_OWN, _is_locked, change.
--
-- Parameters:
-- \set lock_timeout '2s'

SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN :'lock_timeout' ELSE '0' END, true) FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout');
