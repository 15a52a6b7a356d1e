-- attempts_count
--
-- How many attempts the journal holds.
--
-- Used by Report.attempted.

\set destination_1 'brevo'
SELECT count(*) AS count_1
FROM crm_sync.attempts
WHERE crm_sync.attempts.destination = :'destination_1'::VARCHAR;
