-- longest_expired
--
-- What has stood Processing longest past its lease: for how many seconds, and in which run; no row if
-- nothing has.
--
-- Its claim is dead, or it has none and nothing has touched it for :lease_seconds.
--
-- Used by Figures.longest_expired.
--
-- Parameters:
-- \set lease_seconds '300'

\set param_1 1
\set param_2 1
\set param_3 1
SELECT EXTRACT(epoch FROM now() - anon_1.until) AS seconds, anon_1.run_id
FROM (
    (
        SELECT crm_sync.deliveries.lease_expires_at AS until, crm_sync.deliveries.run_id AS run_id
        FROM crm_sync.deliveries
        WHERE crm_sync.deliveries.destination = 'brevo'
            AND crm_sync.deliveries.claim_token IS NOT NULL
            AND crm_sync.deliveries.lease_expires_at <= now()
        ORDER BY crm_sync.deliveries.lease_expires_at
        LIMIT :'param_1'::INTEGER
    )
    UNION ALL (
        SELECT public.contacts.updated_at + interval '1 second' * :'lease_seconds' AS until, NULL AS anon_2
        FROM public.contacts
        WHERE public.contacts.brevo_processing_status = 'Processing'
            AND public.contacts.updated_at <= now() - interval '1 second' * :'lease_seconds'
            AND (
                SELECT crm_sync.deliveries.claim_token
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = public.contacts.id
                    AND crm_sync.deliveries.destination = 'brevo'
            ) IS NULL
        ORDER BY public.contacts.updated_at
        LIMIT :'param_2'::INTEGER
    )
) AS anon_1
ORDER BY anon_1.until
LIMIT :'param_3'::INTEGER;
