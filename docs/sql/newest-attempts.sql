-- newest
--
-- Used by AttemptCounter.begin, newest.

\set coalesce_2 0
SELECT coalesce(max(crm_sync.attempts.id), :'coalesce_2'::INTEGER) AS coalesce_1 FROM crm_sync.attempts;
