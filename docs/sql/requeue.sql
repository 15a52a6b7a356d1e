-- requeue
--
-- Of :ids, those in Error or waiting for a retry: due now, with fresh retries.
--
-- Used by _requeue.
--
-- Parameters:
-- \set ids '{}'

\set param_1 0
\set brevo_processing_error NULL
\set retry_count_1 0
UPDATE public.contacts
SET updated_at=now(), retry_count=CASE
WHEN (public.contacts.last_failed_crm = 'brevo') THEN :'param_1'::INTEGER
ELSE public.contacts.retry_count END, next_retry_at=CASE
WHEN (public.contacts.last_failed_crm = 'brevo') THEN NULL
ELSE public.contacts.next_retry_at END, last_failed_crm=CASE
WHEN (public.contacts.last_failed_crm = 'brevo') THEN NULL
ELSE public.contacts.last_failed_crm END,
    brevo_sync_status='Selected',
    brevo_processing_status='Queued',
    brevo_processing_error=:brevo_processing_error
WHERE public.contacts.id = ANY (:'ids'::uuid[])
    AND (
        public.contacts.brevo_processing_status = 'Error'
        OR public.contacts.brevo_processing_status = 'Queued'
            AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
            AND public.contacts.brevo_sync_status != 'Selected'
            AND (
                SELECT crm_sync.deliveries.retry_count > :'retry_count_1'::INTEGER
                    OR crm_sync.deliveries.next_retry_at > now() AS anon_1
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = public.contacts.id
                    AND crm_sync.deliveries.destination = 'brevo'
            )
    );
