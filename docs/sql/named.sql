-- named
--
-- Those of the contacts :ids that match what is `meant`, locked where it `locks`.
--
-- Used by ChunkedUpdate.over_ids.
--
-- Parameters:
-- \set ids '{}'

-- Where locks is False:
SELECT public.contacts.id AS id,
    coalesce(public.contacts.brevo_sync_status = 'Selected', false) AS fresh,
    coalesce(
        public.contacts.brevo_processing_status = 'Queued'
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued'),
        false
    ) AS queued
FROM public.contacts
WHERE (
    public.contacts.brevo_sync_status = 'Selected'
    OR public.contacts.brevo_processing_status = 'Queued'
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
)
    AND public.contacts.id = ANY (:'ids'::uuid[])
ORDER BY public.contacts.id;

-- Where locks is True:
SELECT public.contacts.id AS id,
    coalesce(public.contacts.brevo_sync_status = 'Selected', false) AS fresh,
    coalesce(
        public.contacts.brevo_processing_status = 'Queued'
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued'),
        false
    ) AS queued
FROM public.contacts
WHERE (
    public.contacts.brevo_sync_status = 'Selected'
    OR public.contacts.brevo_processing_status = 'Queued'
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
)
    AND public.contacts.id = ANY (:'ids'::uuid[])
ORDER BY public.contacts.id
FOR NO KEY UPDATE OF contacts;
