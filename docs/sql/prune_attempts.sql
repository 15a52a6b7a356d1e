-- prune_attempts
--
-- Of the :size attempts behind the id :after, remove what is older than :days, and those of contacts
-- that are gone.
--
-- What belongs to a claim that is not settled yet, or to an import in progress, stays. One row:
-- `looked_at` attempts, of which `old` and `of_gone` go; `last` is the id to go on behind. Without
-- `removes` it only counts.
--
-- Used by History._prune_attempts.
--
-- Parameters:
-- \set after '100'
-- \set size '100'
-- \set days '300'

-- Where removes is False and removes_of_gone is False:
WITH chunk AS (
    SELECT crm_sync.attempts.id AS id,
        crm_sync.attempts.contact_id AS contact_id,
        crm_sync.attempts.destination AS destination,
        crm_sync.attempts.claim_token AS claim_token,
        crm_sync.attempts.run_id AS run_id,
        crm_sync.attempts.number AS number,
        crm_sync.attempts.outcome AS outcome,
        crm_sync.attempts.reason AS reason,
        crm_sync.attempts.message AS message,
        crm_sync.attempts.http_status AS http_status,
        crm_sync.attempts.request_id AS request_id,
        crm_sync.attempts.remote_id AS remote_id,
        crm_sync.attempts.milliseconds AS milliseconds,
        crm_sync.attempts.contact_hash AS contact_hash,
        crm_sync.attempts.payload_hash AS payload_hash,
        crm_sync.attempts.attempted_at AS attempted_at,
        crm_sync.attempts.remote_fields AS remote_fields,
        crm_sync.attempts.request_size AS request_size
    FROM crm_sync.attempts
    WHERE crm_sync.attempts.id > :'after'::BIGINT
    ORDER BY crm_sync.attempts.id
    LIMIT :'size'::INTEGER
),
doomed AS (
    SELECT chunk.id AS id, chunk.attempted_at < now() - interval '1 day' * :'days' AS is_old
    FROM chunk
    WHERE chunk.attempted_at < now() - interval '1 day' * :'days'
        AND coalesce(
            (
                SELECT crm_sync.deliveries.claim_token
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = chunk.contact_id
                    AND crm_sync.deliveries.destination = chunk.destination
            ) = chunk.claim_token
            OR (
                SELECT crm_sync.import_contacts.import_id
                FROM crm_sync.import_contacts
                WHERE crm_sync.import_contacts.contact_id = chunk.contact_id
                    AND crm_sync.import_contacts.destination = chunk.destination
            ) IS NOT NULL,
            false
        ) IS false
)
SELECT (SELECT count(*) AS count_1 FROM chunk) AS looked_at,
    (SELECT max(chunk.id) AS max_1 FROM chunk) AS last,
    (SELECT count(*) AS count_2 FROM doomed WHERE doomed.is_old) AS "old",
    (SELECT count(*) AS count_3 FROM doomed WHERE NOT doomed.is_old) AS of_gone;

-- Where removes is False and removes_of_gone is True:
WITH chunk AS (
    SELECT crm_sync.attempts.id AS id,
        crm_sync.attempts.contact_id AS contact_id,
        crm_sync.attempts.destination AS destination,
        crm_sync.attempts.claim_token AS claim_token,
        crm_sync.attempts.run_id AS run_id,
        crm_sync.attempts.number AS number,
        crm_sync.attempts.outcome AS outcome,
        crm_sync.attempts.reason AS reason,
        crm_sync.attempts.message AS message,
        crm_sync.attempts.http_status AS http_status,
        crm_sync.attempts.request_id AS request_id,
        crm_sync.attempts.remote_id AS remote_id,
        crm_sync.attempts.milliseconds AS milliseconds,
        crm_sync.attempts.contact_hash AS contact_hash,
        crm_sync.attempts.payload_hash AS payload_hash,
        crm_sync.attempts.attempted_at AS attempted_at,
        crm_sync.attempts.remote_fields AS remote_fields,
        crm_sync.attempts.request_size AS request_size
    FROM crm_sync.attempts
    WHERE crm_sync.attempts.id > :'after'::BIGINT
    ORDER BY crm_sync.attempts.id
    LIMIT :'size'::INTEGER
),
doomed AS (
    SELECT chunk.id AS id, chunk.attempted_at < now() - interval '1 day' * :'days' AS is_old
    FROM chunk
    WHERE (
        chunk.attempted_at < now() - interval '1 day' * :'days'
        OR chunk.attempted_at >= now() - interval '1 day' * :'days'
            AND (
                SELECT public.contacts.id AS id
                FROM public.contacts
                WHERE public.contacts.id = chunk.contact_id
            ) IS NULL
    )
        AND coalesce(
            (
                SELECT crm_sync.deliveries.claim_token
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = chunk.contact_id
                    AND crm_sync.deliveries.destination = chunk.destination
            ) = chunk.claim_token
            OR (
                SELECT crm_sync.import_contacts.import_id
                FROM crm_sync.import_contacts
                WHERE crm_sync.import_contacts.contact_id = chunk.contact_id
                    AND crm_sync.import_contacts.destination = chunk.destination
            ) IS NOT NULL,
            false
        ) IS false
)
SELECT (SELECT count(*) AS count_1 FROM chunk) AS looked_at,
    (SELECT max(chunk.id) AS max_1 FROM chunk) AS last,
    (SELECT count(*) AS count_2 FROM doomed WHERE doomed.is_old) AS "old",
    (SELECT count(*) AS count_3 FROM doomed WHERE NOT doomed.is_old) AS of_gone;

-- Where removes is True and removes_of_gone is False:
WITH chunk AS (
    SELECT crm_sync.attempts.id AS id,
        crm_sync.attempts.contact_id AS contact_id,
        crm_sync.attempts.destination AS destination,
        crm_sync.attempts.claim_token AS claim_token,
        crm_sync.attempts.run_id AS run_id,
        crm_sync.attempts.number AS number,
        crm_sync.attempts.outcome AS outcome,
        crm_sync.attempts.reason AS reason,
        crm_sync.attempts.message AS message,
        crm_sync.attempts.http_status AS http_status,
        crm_sync.attempts.request_id AS request_id,
        crm_sync.attempts.remote_id AS remote_id,
        crm_sync.attempts.milliseconds AS milliseconds,
        crm_sync.attempts.contact_hash AS contact_hash,
        crm_sync.attempts.payload_hash AS payload_hash,
        crm_sync.attempts.attempted_at AS attempted_at,
        crm_sync.attempts.remote_fields AS remote_fields,
        crm_sync.attempts.request_size AS request_size
    FROM crm_sync.attempts
    WHERE crm_sync.attempts.id > :'after'::BIGINT
    ORDER BY crm_sync.attempts.id
    LIMIT :'size'::INTEGER
),
doomed AS (
    SELECT chunk.id AS id, chunk.attempted_at < now() - interval '1 day' * :'days' AS is_old
    FROM chunk
    WHERE chunk.attempted_at < now() - interval '1 day' * :'days'
        AND coalesce(
            (
                SELECT crm_sync.deliveries.claim_token
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = chunk.contact_id
                    AND crm_sync.deliveries.destination = chunk.destination
            ) = chunk.claim_token
            OR (
                SELECT crm_sync.import_contacts.import_id
                FROM crm_sync.import_contacts
                WHERE crm_sync.import_contacts.contact_id = chunk.contact_id
                    AND crm_sync.import_contacts.destination = chunk.destination
            ) IS NOT NULL,
            false
        ) IS false
),
removed AS (
    DELETE FROM crm_sync.attempts WHERE crm_sync.attempts.id = ANY (array((SELECT doomed.id FROM doomed)))
)
SELECT (SELECT count(*) AS count_1 FROM chunk) AS looked_at,
    (SELECT max(chunk.id) AS max_1 FROM chunk) AS last,
    (SELECT count(*) AS count_2 FROM doomed WHERE doomed.is_old) AS "old",
    (SELECT count(*) AS count_3 FROM doomed WHERE NOT doomed.is_old) AS of_gone;

-- Where removes is True and removes_of_gone is True:
WITH chunk AS (
    SELECT crm_sync.attempts.id AS id,
        crm_sync.attempts.contact_id AS contact_id,
        crm_sync.attempts.destination AS destination,
        crm_sync.attempts.claim_token AS claim_token,
        crm_sync.attempts.run_id AS run_id,
        crm_sync.attempts.number AS number,
        crm_sync.attempts.outcome AS outcome,
        crm_sync.attempts.reason AS reason,
        crm_sync.attempts.message AS message,
        crm_sync.attempts.http_status AS http_status,
        crm_sync.attempts.request_id AS request_id,
        crm_sync.attempts.remote_id AS remote_id,
        crm_sync.attempts.milliseconds AS milliseconds,
        crm_sync.attempts.contact_hash AS contact_hash,
        crm_sync.attempts.payload_hash AS payload_hash,
        crm_sync.attempts.attempted_at AS attempted_at,
        crm_sync.attempts.remote_fields AS remote_fields,
        crm_sync.attempts.request_size AS request_size
    FROM crm_sync.attempts
    WHERE crm_sync.attempts.id > :'after'::BIGINT
    ORDER BY crm_sync.attempts.id
    LIMIT :'size'::INTEGER
),
doomed AS (
    SELECT chunk.id AS id, chunk.attempted_at < now() - interval '1 day' * :'days' AS is_old
    FROM chunk
    WHERE (
        chunk.attempted_at < now() - interval '1 day' * :'days'
        OR chunk.attempted_at >= now() - interval '1 day' * :'days'
            AND (
                SELECT public.contacts.id AS id
                FROM public.contacts
                WHERE public.contacts.id = chunk.contact_id
            ) IS NULL
    )
        AND coalesce(
            (
                SELECT crm_sync.deliveries.claim_token
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = chunk.contact_id
                    AND crm_sync.deliveries.destination = chunk.destination
            ) = chunk.claim_token
            OR (
                SELECT crm_sync.import_contacts.import_id
                FROM crm_sync.import_contacts
                WHERE crm_sync.import_contacts.contact_id = chunk.contact_id
                    AND crm_sync.import_contacts.destination = chunk.destination
            ) IS NOT NULL,
            false
        ) IS false
),
removed AS (
    DELETE FROM crm_sync.attempts WHERE crm_sync.attempts.id = ANY (array((SELECT doomed.id FROM doomed)))
)
SELECT (SELECT count(*) AS count_1 FROM chunk) AS looked_at,
    (SELECT max(chunk.id) AS max_1 FROM chunk) AS last,
    (SELECT count(*) AS count_2 FROM doomed WHERE doomed.is_old) AS "old",
    (SELECT count(*) AS count_3 FROM doomed WHERE NOT doomed.is_old) AS of_gone;
