-- wanted_with_remote_id
--
-- Which of :remote_ids belong to rows that are wanted at the destination as well, other than the
-- contacts :ids.
--
-- Read by a look at every delivery, so it is asked for what has moved alone.
--
-- Used by ContactQueue.shared_remote_ids.
--
-- Parameters:
-- \set remote_ids '{}'
-- \set ids '{}'

SELECT DISTINCT crm_sync.deliveries.remote_id
FROM crm_sync.deliveries
JOIN public.contacts ON public.contacts.id = crm_sync.deliveries.contact_id
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.remote_id = ANY (:'remote_ids'::TEXT[])
    AND crm_sync.deliveries.contact_id != ALL (:'ids'::uuid[])
    AND public.contacts.brevo_sync_status IN ('Selected', 'Queued', 'Processing', 'Complete');
