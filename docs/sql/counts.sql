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
\set coalesce_1 0
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
    coalesce(
        sum(
            1.0::double precision / CAST(crm_sync.attempts.request_size AS NUMERIC)
        ) FILTER (WHERE crm_sync.attempts.milliseconds > :'milliseconds_2'::INTEGER),
        :'coalesce_1'::INTEGER
    ) AS calls,
    sum(
        crm_sync.attempts.milliseconds * (
            1.0::double precision / CAST(crm_sync.attempts.request_size AS NUMERIC)
        )
    ) AS milliseconds
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
