-- newest_sure
--
-- The newest attempt behind :after that has no gap before it which may still be filled; no row where
-- there is none.
--
-- Used by AttemptCounter.totals, newest_sure.
--
-- Parameters:
-- \set after '100'

\set param_1 1
SELECT crm_sync.attempts.id
FROM crm_sync.attempts
WHERE crm_sync.attempts.id > :'after'::BIGINT
    AND CASE WHEN (crm_sync.attempts.attempted_at < now() - interval '3 minutes') THEN true ELSE false END
ORDER BY crm_sync.attempts.id DESC
LIMIT :'param_1'::INTEGER;
