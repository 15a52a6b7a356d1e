-- unshelve
--
-- Of :ids, those on hold: due when they would have been, and waiting in the queue from now on.
--
-- Used by _release.
--
-- Parameters:
-- \set ids '{}'

\set retry_count_1 0
UPDATE public.contacts
SET updated_at=now(), next_retry_at=CASE
WHEN (
    public.contacts.last_failed_crm = 'brevo'
    AND public.contacts.next_retry_at >= '9000-01-01 00:00:00+00'::timestamptz
) THEN crm_sync.deliveries.next_retry_at
ELSE public.contacts.next_retry_at END, last_failed_crm=CASE
WHEN (
    public.contacts.last_failed_crm = 'brevo'
    AND public.contacts.next_retry_at >= '9000-01-01 00:00:00+00'::timestamptz
    AND crm_sync.deliveries.retry_count = :'retry_count_1'::INTEGER
) THEN NULL
ELSE public.contacts.last_failed_crm END
FROM crm_sync.deliveries
WHERE crm_sync.deliveries.contact_id = public.contacts.id
    AND crm_sync.deliveries.destination = 'brevo'
    AND public.contacts.id = ANY (:'ids'::uuid[])
    AND crm_sync.deliveries.held_at IS NOT NULL
    AND (
        public.contacts.brevo_processing_status = 'Queued'
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
        OR public.contacts.last_failed_crm = 'brevo'
            AND public.contacts.next_retry_at >= '9000-01-01 00:00:00+00'::timestamptz
    );
