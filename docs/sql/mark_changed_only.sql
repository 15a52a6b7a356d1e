-- mark_changed_only
--
-- Note that the selection of :ids, made just now, skips what has not changed.
--
-- The selection is identified by its timestamp, which the claim reads from the row: whoever selects or
-- writes the row later, with any program, makes another selection of it. A contact never delivered has
-- nothing to skip.
--
-- Used by select_changed.
--
-- Parameters:
-- \set ids '{}'

UPDATE crm_sync.deliveries
SET changed_only_at=public.contacts.updated_at
FROM public.contacts
WHERE crm_sync.deliveries.contact_id = public.contacts.id
    AND crm_sync.deliveries.destination = 'brevo'
    AND public.contacts.id = ANY (:'ids'::uuid[])
    AND public.contacts.brevo_processing_status = 'Queued'
    AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
    AND public.contacts.brevo_sync_status = 'Selected'
    AND public.contacts.updated_at = now();
