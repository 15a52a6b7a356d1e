-- next_retry
--
-- When the first contact that waits for a retry is due; no row where none waits.
--
-- It is the first in the index that is not due. What failed at another destination since stands
-- elsewhere in it, and is not seen.
--
-- Used by Figures.next_retry_at, failures_of.

\set param_1 1
SELECT coalesce(
    CASE
        WHEN (
            public.contacts.last_failed_crm = 'brevo' AND public.contacts.brevo_sync_status != 'Selected'
        ) THEN public.contacts.next_retry_at
    END,
    'epoch'::timestamptz
) AS coalesce_1
FROM public.contacts
WHERE public.contacts.brevo_processing_status = 'Queued'
    AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
    AND coalesce(
        CASE
            WHEN (
                public.contacts.last_failed_crm = 'brevo' AND public.contacts.brevo_sync_status != 'Selected'
            ) THEN public.contacts.next_retry_at
        END,
        'epoch'::timestamptz
    ) > now()
    AND (
        SELECT crm_sync.deliveries.held_at
        FROM crm_sync.deliveries
        WHERE crm_sync.deliveries.contact_id = public.contacts.id
            AND crm_sync.deliveries.destination = 'brevo'
    ) IS NULL
ORDER BY coalesce(
    CASE
        WHEN (
            public.contacts.last_failed_crm = 'brevo' AND public.contacts.brevo_sync_status != 'Selected'
        ) THEN public.contacts.next_retry_at
    END,
    'epoch'::timestamptz
),
    public.contacts.updated_at
LIMIT :'param_1'::INTEGER;
