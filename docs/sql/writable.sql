-- writable
--
-- Used by _WRITABLE, check_writable.

SELECT pg_is_in_recovery() AS is_standby, setting = 'on' AS is_read_only, source, current_user AS role,
       current_database() AS database
FROM pg_settings WHERE name = 'default_transaction_read_only';
