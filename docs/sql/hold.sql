-- hold
--
-- Put :ids on hold from now on. A fresh selection keeps its fresh start, which is written down here.
--
-- Used by _hold.
--
-- Parameters:
-- \set ids '{}'

\set param_1 0
\set param_2 0
WITH chosen AS (
    SELECT public.contacts.id AS id,
        CASE
            WHEN (
                public.contacts.brevo_processing_status = 'Queued'
                AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
                AND public.contacts.brevo_sync_status = 'Selected'
            ) THEN public.contacts.updated_at
        END AS fresh_since
    FROM public.contacts
    WHERE public.contacts.id = ANY (:'ids'::uuid[])
)
INSERT INTO crm_sync.deliveries (contact_id, destination, held_at, selected_at)
SELECT chosen.id, 'brevo', now() AS now_1, chosen.fresh_since
FROM chosen
ON CONFLICT (contact_id, destination)
DO UPDATE SET retry_count = CASE
    WHEN (excluded.selected_at IS NOT NULL) THEN :'param_1'::INTEGER ELSE crm_sync.deliveries.retry_count
END,
    next_retry_at = CASE
        WHEN (excluded.selected_at IS NOT NULL) THEN NULL ELSE crm_sync.deliveries.next_retry_at
    END,
    lost_count = CASE
        WHEN (excluded.selected_at IS NOT NULL) THEN :'param_2'::INTEGER ELSE crm_sync.deliveries.lost_count
    END,
    selected_at = coalesce(excluded.selected_at, crm_sync.deliveries.selected_at),
    held_at = coalesce(crm_sync.deliveries.held_at, excluded.held_at);
