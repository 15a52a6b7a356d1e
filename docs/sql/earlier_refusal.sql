-- earlier_refusal
--
-- The last attempt at the contact :id, if it was Deferred or Rejected, and whether another got through
-- since.
--
-- Used by BreakerRecord.earlier.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'

\set id_1 10000
\set param_1 1
SELECT last.outcome,
    last.reason,
    EXISTS (
        SELECT *
        FROM crm_sync.attempts AS since
        WHERE since.id > last.id
            AND since.id <= last.id + :'id_1'::BIGINT
            AND since.destination = 'brevo'
            AND since.outcome = 'synced'
    ) AS others_since
FROM (
    SELECT crm_sync.attempts.id AS id,
        crm_sync.attempts.outcome AS outcome,
        crm_sync.attempts.reason AS reason
    FROM crm_sync.attempts
    WHERE crm_sync.attempts.contact_id = :'id'::UUID AND crm_sync.attempts.destination = 'brevo'
    ORDER BY crm_sync.attempts.id DESC
    LIMIT :'param_1'::INTEGER
) AS last
WHERE last.outcome IN ('deferred', 'rejected');
