-- shelve
--
-- Of :ids, those on hold that wait, or that a run has claimed and may not have sent yet: Queued, and
-- far behind.
--
-- The shared columns are left alone where another CRM's failure stands in them: then claims walk past
-- it.
--
-- Used by _hold, keep_on_hold.
--
-- Parameters:
-- \set ids '{}'

UPDATE public.contacts
SET updated_at=now(), next_retry_at=CASE
WHEN (coalesce(public.contacts.last_failed_crm, 'brevo') = 'brevo') THEN '9999-01-01 00:00:00+00'::timestamptz
ELSE public.contacts.next_retry_at END, last_failed_crm=CASE
WHEN (coalesce(public.contacts.last_failed_crm, 'brevo') = 'brevo') THEN 'brevo'
ELSE public.contacts.last_failed_crm END, brevo_sync_status='Queued', brevo_processing_status='Queued'
FROM crm_sync.deliveries
WHERE crm_sync.deliveries.contact_id = public.contacts.id
    AND crm_sync.deliveries.destination = 'brevo'
    AND public.contacts.id = ANY (:'ids'::uuid[])
    AND crm_sync.deliveries.held_at IS NOT NULL
    AND (
        public.contacts.brevo_processing_status = 'Queued'
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
        OR CASE
            WHEN (
                public.contacts.brevo_processing_status = 'Processing'
                AND public.contacts.brevo_sync_status = 'Processing'
            ) THEN true
            ELSE false
        END
    );
