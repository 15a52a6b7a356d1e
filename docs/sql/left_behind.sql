-- left_behind
--
-- Whether a claim has run out, or something stands Processing, a lease long, that is not claimed.
--
-- The first of each by its index, and not EXISTS, for which PostgreSQL may think that reading the
-- table is quicker.
--
-- Used by ContactQueue.needs_recovery.
--
-- Parameters:
-- \set lease_seconds '300'

\set param_1 1
\set param_2 1
SELECT (
    SELECT crm_sync.deliveries.contact_id
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.destination = 'brevo'
        AND crm_sync.deliveries.claim_token IS NOT NULL
        AND crm_sync.deliveries.lease_expires_at <= now()
    ORDER BY crm_sync.deliveries.lease_expires_at
    LIMIT :'param_1'::INTEGER
) IS NOT NULL
    OR (
        SELECT public.contacts.id AS id
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
    ) IS NOT NULL AS anon_1;
