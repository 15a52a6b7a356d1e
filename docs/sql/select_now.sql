-- select_now
--
-- Select :ids with fresh retries, whatever their state: the claim starts a Selected one from 0.
--
-- Used by Claiming.one, requeue, select.
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
WHERE public.contacts.id = ANY (:'ids'::uuid[]);
