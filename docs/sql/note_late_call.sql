-- note_late_call
--
-- Tell the run that has claimed :late_contact now that :sent_late was sent meanwhile, and may have
-- landed last.
--
-- Used by ContactQueue._note_late_calls.
--
-- Parameters:
-- \set sent_late 'text'
-- \set late_contact '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
UPDATE crm_sync.deliveries
SET late_payload_hash=:'sent_late'::VARCHAR
WHERE crm_sync.deliveries.destination = :'destination_1'::VARCHAR
    AND crm_sync.deliveries.contact_id = :'late_contact'::UUID
    AND crm_sync.deliveries.claim_token IS NOT NULL;
