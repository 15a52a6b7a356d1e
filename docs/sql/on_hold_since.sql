-- on_hold_since
--
-- Since when the contact :id is on hold; no row or NULL where it is not.
--
-- Used by Claiming.one.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'

SELECT crm_sync.deliveries.held_at
FROM crm_sync.deliveries
WHERE crm_sync.deliveries.destination = 'brevo' AND crm_sync.deliveries.contact_id = :'id'::UUID;
