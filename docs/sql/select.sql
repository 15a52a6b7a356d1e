-- select
--
-- Select :ids; one that is already in the queue stays as it is, with its retries and its wait.
--
-- Used by _select, select_changed.
--
-- Parameters:
-- \set ids '{}'

\set param_1 0
\set brevo_processing_error NULL
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
    AND NOT coalesce(
        public.contacts.brevo_processing_status = 'Queued'
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued'),
        false
    );
