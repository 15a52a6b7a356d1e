-- forget_payload
--
-- Of the contact :late_contact it is no longer known what the destination holds, unless it is
-- :sent_late anyway.
--
-- Used by ContactQueue._note_late_calls.
--
-- Parameters:
-- \set late_contact '00000000-0000-0000-0000-000000000000'
-- \set sent_late 'text'

\set payload_hash NULL
\set destination_1 'brevo'
UPDATE crm_sync.deliveries
SET payload_hash=:payload_hash::VARCHAR
WHERE crm_sync.deliveries.contact_id = :'late_contact'::UUID
    AND crm_sync.deliveries.destination = :'destination_1'::VARCHAR
    AND crm_sync.deliveries.payload_hash != :'sent_late'::VARCHAR;
