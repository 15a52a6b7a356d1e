-- error_groups
--
-- The newest attempt of all that waits for a retry, is put aside or is in Error, by reason and state;
-- some ids.
--
-- Used by Report.errors.

\set substring_1 '^(lease_expired|not_recorded): '
\set coalesce_1 'unknown'
\set param_1 1
\set param_2 10
\set destination_1 'brevo'
\set param_3 1
SELECT coalesce(
    SUBSTRING(
        CAST(public.contacts.brevo_processing_error AS TEXT) COLLATE "default" FROM :'substring_1'::VARCHAR
    ),
    newest.reason,
    :'coalesce_1'::VARCHAR
) AS reason,
    regexp_replace(
        CASE
            WHEN (
                SUBSTRING(
                    CAST(public.contacts.brevo_processing_error AS TEXT) COLLATE "default"
                    FROM :'substring_1'::VARCHAR
                ) IS NOT NULL
            ) THEN CAST(public.contacts.brevo_processing_error AS TEXT) COLLATE "default"
            ELSE coalesce(
                newest.message, CAST(public.contacts.brevo_processing_error AS TEXT) COLLATE "default"
            )
        END,
        '[^\s<>"(),;:\[\]]+(@|%40)[^\s<>"(),;:\[\]]+',
        '<address>',
        'g'
    ) AS message,
    CAST(public.contacts.brevo_processing_status AS TEXT) AS state,
    count(*) AS total,
    min(crm_sync.deliveries.next_retry_at) AS next_retry_at,
    (array_agg(CAST(public.contacts.id AS TEXT)))[:'param_1'::INTEGER: :'param_2'::INTEGER] AS contact_ids
FROM public.contacts
LEFT OUTER JOIN crm_sync.deliveries ON crm_sync.deliveries.contact_id = public.contacts.id
    AND crm_sync.deliveries.destination = 'brevo'
LEFT OUTER JOIN LATERAL (
    SELECT crm_sync.attempts.reason AS reason, crm_sync.attempts.message AS message
    FROM crm_sync.attempts
    WHERE crm_sync.attempts.contact_id = public.contacts.id
        AND crm_sync.attempts.destination = :'destination_1'::VARCHAR
    ORDER BY crm_sync.attempts.id DESC
    LIMIT :'param_3'::INTEGER
) AS newest ON true
WHERE public.contacts.brevo_processing_status = 'Error'
    OR public.contacts.brevo_processing_status = 'Queued'
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
        AND (
            (CAST(public.contacts.brevo_processing_error AS TEXT) COLLATE "default") IS NOT NULL
            OR crm_sync.deliveries.lease_expires_at > now() AND newest.reason = 'not_claimed'
        )
GROUP BY coalesce(
    SUBSTRING(
        CAST(public.contacts.brevo_processing_error AS TEXT) COLLATE "default" FROM :'substring_1'::VARCHAR
    ),
    newest.reason,
    :'coalesce_1'::VARCHAR
),
    regexp_replace(
        CASE
            WHEN (
                SUBSTRING(
                    CAST(public.contacts.brevo_processing_error AS TEXT) COLLATE "default"
                    FROM :'substring_1'::VARCHAR
                ) IS NOT NULL
            ) THEN CAST(public.contacts.brevo_processing_error AS TEXT) COLLATE "default"
            ELSE coalesce(
                newest.message, CAST(public.contacts.brevo_processing_error AS TEXT) COLLATE "default"
            )
        END,
        '[^\s<>"(),;:\[\]]+(@|%40)[^\s<>"(),;:\[\]]+',
        '<address>',
        'g'
    ),
    CAST(public.contacts.brevo_processing_status AS TEXT)
ORDER BY count(*) DESC, reason;
