-- honour_decisions
--
-- Of :ids: where a person changed the sync status alone, bring the other status after it.
--
-- The first queues what is wanted again, the second takes what is not wanted out of the queue.
--
-- Used by Settling._settle_together.
--
-- Parameters:
-- \set ids '{}'

-- Statement 1:
UPDATE public.contacts
SET updated_at=now(), brevo_processing_status='Queued'
WHERE public.contacts.id = ANY (:'ids'::uuid[])
    AND CASE WHEN (public.contacts.brevo_processing_status = 'Processing') THEN true ELSE false END
    AND public.contacts.brevo_sync_status IN ('Selected', 'Queued');

-- Statement 2:
UPDATE public.contacts
SET updated_at=now(), brevo_processing_status=NULL
WHERE public.contacts.id = ANY (:'ids'::uuid[])
    AND CASE WHEN (public.contacts.brevo_processing_status = 'Processing') THEN true ELSE false END
    AND (public.contacts.brevo_sync_status NOT IN ('Selected', 'Queued'))
    AND public.contacts.brevo_sync_status != 'Processing';
