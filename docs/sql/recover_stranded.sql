-- recover_stranded
--
-- Of at most :size stranded ones, left so by another program, queue what is wanted or not decided.
--
-- Where a person changed the sync status alone, the other status is brought after it.
--
-- Used by Settling._settle_expired.
--
-- Parameters:
-- \set lease_seconds '300'
-- \set size '100'

WITH chosen AS (
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
    LIMIT :'size'::INTEGER
    FOR NO KEY UPDATE OF contacts SKIP LOCKED
)
UPDATE public.contacts
SET updated_at=now(), brevo_sync_status=CASE
WHEN (public.contacts.brevo_sync_status = 'Processing') THEN 'Queued'
ELSE public.contacts.brevo_sync_status END, brevo_processing_status=CASE
WHEN (
    public.contacts.brevo_sync_status = 'Processing'
    OR public.contacts.brevo_sync_status IN ('Selected', 'Queued')
) THEN 'Queued'
WHEN (public.contacts.brevo_processing_status = 'Queued') THEN public.contacts.brevo_processing_status END
FROM chosen
WHERE public.contacts.id = chosen.id;
