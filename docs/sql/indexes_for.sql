-- indexes_for
--
-- What claim, sensor and recovery walk: the queued ones as they fall due, and those Processing, oldest
-- first.
--
-- The third holds what is in Error, which is to be few, so that it can be counted without reading the
-- table.
--
-- Used by _check_crm, _indexes.

-- Statement 1:
CREATE INDEX CONCURRENTLY contacts_crm_sync_brevo_queued ON public.contacts (
    (
        coalesce(
            CASE
                WHEN (
                    public.contacts.last_failed_crm = 'brevo'
                    AND public.contacts.brevo_sync_status != 'Selected'
                ) THEN public.contacts.next_retry_at
            END,
            'epoch'::timestamptz
        )
    ),
    (public.contacts.updated_at)
)
WHERE public.contacts.brevo_processing_status = 'Queued'
    AND public.contacts.brevo_sync_status IN ('Selected', 'Queued');

-- Statement 2:
CREATE INDEX CONCURRENTLY contacts_crm_sync_brevo_processing_since ON public.contacts ((public.contacts.updated_at))
WHERE public.contacts.brevo_processing_status = 'Processing';

-- Statement 3:
CREATE INDEX CONCURRENTLY contacts_crm_sync_brevo_error_since ON public.contacts ((public.contacts.updated_at))
WHERE public.contacts.brevo_processing_status = 'Error';
