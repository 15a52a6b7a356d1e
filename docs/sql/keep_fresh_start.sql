-- keep_fresh_start
--
-- Of :ids, those on hold that were selected again: write their fresh start down.
--
-- Used by keep_on_hold.
--
-- Parameters:
-- \set ids '{}'

\set param_1 0
\set param_2 0
UPDATE crm_sync.deliveries
SET retry_count=CASE
WHEN (public.contacts.updated_at IS NOT NULL) THEN :'param_1'::INTEGER
ELSE crm_sync.deliveries.retry_count END, next_retry_at=CASE
WHEN (public.contacts.updated_at IS NOT NULL) THEN NULL
ELSE crm_sync.deliveries.next_retry_at END, lost_count=CASE
WHEN (public.contacts.updated_at IS NOT NULL) THEN :'param_2'::INTEGER
ELSE crm_sync.deliveries.lost_count END,
    selected_at=coalesce(public.contacts.updated_at, crm_sync.deliveries.selected_at)
FROM public.contacts
WHERE crm_sync.deliveries.contact_id = public.contacts.id
    AND crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.contact_id = ANY (:'ids'::uuid[])
    AND crm_sync.deliveries.held_at IS NOT NULL
    AND CASE
        WHEN (
            public.contacts.brevo_processing_status = 'Queued'
            AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
            AND public.contacts.brevo_sync_status = 'Selected'
        ) THEN public.contacts.updated_at
    END IS NOT NULL
RETURNING crm_sync.deliveries.contact_id;
