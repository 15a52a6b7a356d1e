-- deliveries_of
--
-- The deliveries of the contact :id, locked.
--
-- Used by History.forget, deliveries_of.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'

SELECT crm_sync.deliveries.destination, crm_sync.deliveries.claim_token, crm_sync.deliveries.remote_id
FROM crm_sync.deliveries
WHERE crm_sync.deliveries.contact_id = :'id'::UUID
ORDER BY crm_sync.deliveries.destination
FOR
UPDATE;
