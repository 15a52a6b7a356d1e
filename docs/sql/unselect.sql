-- unselect
--
-- Take :ids back; a result that arrives later changes nothing.
--
-- Used by History.forget, _unselect.
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
    brevo_sync_status='New',
    brevo_processing_status=NULL,
    brevo_processing_error=:brevo_processing_error
WHERE public.contacts.id = ANY (:'ids'::uuid[]);
