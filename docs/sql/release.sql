-- release
--
-- Let those of :ids go that are on hold.
--
-- Used by _release.
--
-- Parameters:
-- \set ids '{}'

\set held_at NULL
UPDATE crm_sync.deliveries
SET held_at=:held_at::TIMESTAMP WITH TIME ZONE
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.contact_id = ANY (:'ids'::uuid[])
    AND crm_sync.deliveries.held_at IS NOT NULL;
