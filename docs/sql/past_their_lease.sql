-- past_their_lease
--
-- How many, up to :limit, a dead claim has held for :grace_seconds, or stand Processing though nobody
-- holds them.
--
-- The latter have stood so for :lease_seconds.
--
-- Used by Figures.past_their_lease.
--
-- Parameters:
-- \set grace_seconds '300'
-- \set limit '100'
-- \set lease_seconds '300'

SELECT (
    SELECT count(*) AS count_1
    FROM (
        SELECT crm_sync.deliveries.contact_id AS contact_id
        FROM crm_sync.deliveries
        WHERE crm_sync.deliveries.destination = 'brevo'
            AND crm_sync.deliveries.claim_token IS NOT NULL
            AND crm_sync.deliveries.lease_expires_at <= now() - interval '1 second' * :'grace_seconds'
        ORDER BY crm_sync.deliveries.lease_expires_at
        LIMIT :'limit'::INTEGER
    ) AS anon_2
) + (
    SELECT count(*) AS count_2
    FROM (
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
        LIMIT :'limit'::INTEGER
    ) AS anon_3
) AS anon_1;
