-- delivered_last
--
-- The payload delivered last, of what :token holds: of everything, or of what was selected only if
-- changed.
--
-- Used by ContactQueue.delivered_last.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set everything 'false'

\set destination_1 'brevo'
SELECT crm_sync.deliveries.contact_id, crm_sync.deliveries.payload_hash
FROM crm_sync.deliveries
WHERE crm_sync.deliveries.destination = :'destination_1'::VARCHAR
    AND crm_sync.deliveries.claim_token = :'token'::UUID
    AND crm_sync.deliveries.payload_hash IS NOT NULL
    AND (:'everything' OR crm_sync.deliveries.changed_only_at = crm_sync.deliveries.selected_at);
