-- chunk
--
-- Those from the id :first on, and before :behind, for whom anything of `meant` holds, in id order.
--
-- And what of it holds, where there is more than one. With `locks` they are locked.
--
-- Used by ChunkedUpdate.over_table.
--
-- Parameters:
-- \set first '00000000-0000-0000-0000-000000000000'
-- \set behind '00000000-0000-0000-0000-000000000000'
-- \set size '100'

-- Where is_last is False and locks is False:
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
    AND public.contacts.id >= :'first'::UUID
    AND public.contacts.id < :'behind'::UUID
ORDER BY public.contacts.id
LIMIT :'size'::INTEGER;

-- Where is_last is False and locks is True:
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
    AND public.contacts.id >= :'first'::UUID
    AND public.contacts.id < :'behind'::UUID
ORDER BY public.contacts.id
LIMIT :'size'::INTEGER
FOR NO KEY UPDATE OF contacts;

-- Where is_last is True and locks is False:
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
    AND public.contacts.id >= :'first'::UUID
ORDER BY public.contacts.id
LIMIT :'size'::INTEGER;

-- Where is_last is True and locks is True:
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
    AND public.contacts.id >= :'first'::UUID
ORDER BY public.contacts.id
LIMIT :'size'::INTEGER
FOR NO KEY UPDATE OF contacts;
