-- note_late_fields
--
-- Of the contact :late_contact, the fields :late_fields may hold what was sent late.
--
-- Used by ContactQueue._note_late_calls.
--
-- Parameters:
-- \set late_fields 'text'
-- \set late_contact '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
UPDATE crm_sync.deliveries
SET remote_fields=concat_ws(',', crm_sync.deliveries.remote_fields, :'late_fields'::VARCHAR)
WHERE crm_sync.deliveries.destination = :'destination_1'::VARCHAR
    AND crm_sync.deliveries.contact_id = :'late_contact'::UUID;
