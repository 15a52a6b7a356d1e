-- failing_for
--
-- How many seconds ago the contact :id failed for :reason first, of the attempts that failed so one
-- after another.
--
-- NULL where its last attempt ended otherwise, and where another contact has got through since that
-- first one.
--
-- Used by BreakerRecord.failing_for.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'
-- \set reason 'text'

\set coalesce_1 0
\set param_1 1
\set id_1 10000
SELECT EXTRACT(epoch FROM now() - first.attempted_at) AS seconds
FROM (
    SELECT crm_sync.attempts.id AS id, crm_sync.attempts.attempted_at AS attempted_at
    FROM crm_sync.attempts
    WHERE crm_sync.attempts.contact_id = :'id'::UUID
        AND crm_sync.attempts.destination = 'brevo'
        AND crm_sync.attempts.outcome = 'failed'
        AND crm_sync.attempts.reason = :'reason'::VARCHAR
        AND crm_sync.attempts.id > coalesce(
            (
                SELECT max(crm_sync.attempts.id) AS max_1
                FROM crm_sync.attempts
                WHERE crm_sync.attempts.contact_id = :'id'::UUID
                    AND crm_sync.attempts.destination = 'brevo'
                    AND NOT (
                        crm_sync.attempts.outcome = 'failed' AND crm_sync.attempts.reason = :'reason'::VARCHAR
                    )
            ),
            :'coalesce_1'::INTEGER
        )
    ORDER BY crm_sync.attempts.id
    LIMIT :'param_1'::INTEGER
) AS first
WHERE NOT (
    EXISTS (
        SELECT *
        FROM crm_sync.attempts AS since
        WHERE since.id > first.id
            AND since.id <= first.id + :'id_1'::BIGINT
            AND since.destination = 'brevo'
            AND since.outcome = 'synced'
    )
);
