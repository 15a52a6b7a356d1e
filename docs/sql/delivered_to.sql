-- delivered_to
--
-- Where the contact :id was delivered.
--
-- Used by _known_ids, delivered_to.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'

SELECT crm_sync.deliveries.destination
FROM crm_sync.deliveries
WHERE crm_sync.deliveries.contact_id = :'id'::UUID AND crm_sync.deliveries.synced_at IS NOT NULL;
