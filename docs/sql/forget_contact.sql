-- forget_contact
--
-- Remove all that we have on the contact :id.
--
-- Used by History.forget, forget_contact.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'

-- Statement 1:
DELETE FROM crm_sync.import_contacts WHERE crm_sync.import_contacts.contact_id = :'id'::UUID;

-- Statement 2:
DELETE FROM crm_sync.attempts WHERE crm_sync.attempts.contact_id = :'id'::UUID;

-- Statement 3:
DELETE FROM crm_sync.deliveries WHERE crm_sync.deliveries.contact_id = :'id'::UUID;
