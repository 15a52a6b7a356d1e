-- write_down
--
-- Journal the attempts :done, each once, and extend the lease of :token; one row that says what is
-- still claimed.
--
-- An attempt's number is read from the delivery: retries done so far, plus one. A lease that was
-- extended a moment ago is left as it is: `lease_seconds` is how long it lasts. A lost lease stays
-- lost. `not_claimed` are those of :done that are not claimed by the token: they never were, or
-- another run claimed them when the lease had run out. `taken_back` are those of the token that a
-- person unselected, selected anew or deleted since the claim; NULL unless :look.
--
-- One snapshot for all of it is enough: whoever takes a contact over after that calls the destination
-- after what is journaled here.
--
-- Used by ContactQueue.journal.
--
-- Parameters:
-- \set done_rows '[]'
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set of_run 'text'
-- \set lease_seconds '300'
-- \set look 'false'

\set retry_count_1 1
\set coalesce_2 1
\set param_1 0.9833333333333333
WITH done AS (
    SELECT done.contact_id AS contact_id,
        done.outcome AS outcome,
        done.reason AS reason,
        done.message AS message,
        done.http_status AS http_status,
        done.request_id AS request_id,
        done.remote_id AS remote_id,
        done.milliseconds AS milliseconds,
        done.contact_hash AS contact_hash,
        done.payload_hash AS payload_hash,
        done.remote_fields AS remote_fields,
        done.request_size AS request_size
    FROM json_to_recordset(CAST(:'done_rows'::VARCHAR AS JSON)) AS done(
        contact_id UUID,
        outcome TEXT,
        reason TEXT,
        message TEXT,
        http_status INTEGER,
        request_id TEXT,
        remote_id TEXT,
        milliseconds INTEGER,
        contact_hash TEXT,
        payload_hash TEXT,
        remote_fields TEXT,
        request_size INTEGER
    )
),
written AS (
    INSERT INTO crm_sync.attempts (
        destination,
        claim_token,
        run_id,
        number,
        contact_id,
        outcome,
        reason,
        message,
        http_status,
        request_id,
        remote_id,
        milliseconds,
        contact_hash,
        payload_hash,
        remote_fields,
        request_size
    )
    SELECT 'brevo',
        :'token'::UUID AS anon_1,
        :'of_run'::VARCHAR AS anon_2,
        coalesce(
            (
                SELECT crm_sync.deliveries.retry_count + :'retry_count_1'::INTEGER AS anon_3
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = done.contact_id
                    AND crm_sync.deliveries.destination = 'brevo'
            ),
            :'coalesce_2'::INTEGER
        ) AS coalesce_1,
        done.contact_id AS contact_id,
        done.outcome AS outcome,
        done.reason AS reason,
        done.message AS message,
        done.http_status AS http_status,
        done.request_id AS request_id,
        done.remote_id AS remote_id,
        done.milliseconds AS milliseconds,
        done.contact_hash AS contact_hash,
        done.payload_hash AS payload_hash,
        done.remote_fields AS remote_fields,
        done.request_size AS request_size
    FROM done
    ON CONFLICT (claim_token, contact_id) DO NOTHING
),
extended AS (
    UPDATE crm_sync.deliveries
    SET lease_expires_at=(now() + interval '1 second' * :'lease_seconds')
    WHERE crm_sync.deliveries.destination = 'brevo'
        AND crm_sync.deliveries.claim_token = :'token'::UUID
        AND coalesce(crm_sync.deliveries.lease_expires_at, 'epoch'::timestamptz) > now()
        AND coalesce(
            crm_sync.deliveries.lease_expires_at, 'epoch'::timestamptz
        ) < now() + interval '1 second' * :'lease_seconds' * :'param_1'
    RETURNING crm_sync.deliveries.contact_id
)
SELECT now_extended.total + fresh.total AS total,
    least(:'lease_seconds', EXTRACT(epoch FROM fresh.until - now())) AS lease_seconds,
    array(
        (
            SELECT done.contact_id
            FROM done
            WHERE (
                SELECT crm_sync.deliveries.claim_token IS DISTINCT FROM :'token'::UUID AS anon_4
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = done.contact_id
                    AND crm_sync.deliveries.destination = 'brevo'
            )
        )
    ) AS not_claimed,
    CASE
        WHEN :'look' THEN array(
            (
                SELECT crm_sync.deliveries.contact_id
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.destination = 'brevo'
                    AND crm_sync.deliveries.claim_token = :'token'::UUID
                    AND NOT coalesce(
                        (
                            SELECT CASE
                                WHEN (
                                    public.contacts.brevo_processing_status = 'Processing'
                                    AND public.contacts.brevo_sync_status = 'Processing'
                                ) THEN true
                                ELSE false
                            END AS anon_5
                            FROM public.contacts
                            WHERE public.contacts.id = crm_sync.deliveries.contact_id
                        ),
                        false
                    )
            )
        )
    END AS taken_back
FROM (SELECT count(*) AS total FROM extended) AS now_extended
JOIN (
    SELECT count(*) AS total,
        min(coalesce(crm_sync.deliveries.lease_expires_at, 'epoch'::timestamptz)) AS until
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.destination = 'brevo'
        AND crm_sync.deliveries.claim_token = :'token'::UUID
        AND coalesce(
            crm_sync.deliveries.lease_expires_at, 'epoch'::timestamptz
        ) >= now() + interval '1 second' * :'lease_seconds' * :'param_1'
) AS fresh ON true;
