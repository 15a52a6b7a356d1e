-- counts
--
-- The attempts behind :after up to :until, by destination, outcome, reason and bucket of the call's
-- time.
--
-- Used by _count, counts.
--
-- Parameters:
-- \set after '100'
-- \set until '100'

\set milliseconds_1 1
\set milliseconds_2 0
SELECT crm_sync.attempts.destination,
    crm_sync.attempts.outcome,
    crm_sync.attempts.reason,
    width_bucket(
        crm_sync.attempts.milliseconds - :'milliseconds_1'::INTEGER,
        ARRAY[50,
        100,
        200,
        500,
        1000,
        2000,
        5000,
        10000,
        30000]
    ) AS bucket,
    count(*) AS total,
    count(*) FILTER (WHERE crm_sync.attempts.milliseconds > :'milliseconds_2'::INTEGER) AS calls,
    sum(crm_sync.attempts.milliseconds) AS milliseconds
FROM crm_sync.attempts
WHERE crm_sync.attempts.id > :'after'::BIGINT AND crm_sync.attempts.id <= :'until'::BIGINT
GROUP BY crm_sync.attempts.destination,
    crm_sync.attempts.outcome,
    crm_sync.attempts.reason,
    width_bucket(
        crm_sync.attempts.milliseconds - :'milliseconds_1'::INTEGER,
        ARRAY[50,
        100,
        200,
        500,
        1000,
        2000,
        5000,
        10000,
        30000]
    );
