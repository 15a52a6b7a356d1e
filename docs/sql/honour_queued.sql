-- honour_queued
--
-- Of :ids: where a person put the processing status alone back to Queued, bring the sync status after
-- it.
--
-- Used by Settling._settle_together.
--
-- Parameters:
-- \set ids '{}'

UPDATE public.contacts
SET updated_at=now(), brevo_sync_status='Queued'
WHERE public.contacts.id = ANY (:'ids'::uuid[])
    AND public.contacts.brevo_processing_status = 'Queued'
    AND public.contacts.brevo_sync_status = 'Processing';
