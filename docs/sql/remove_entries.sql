-- remove_entries
--
-- Remove all entries of import :the_import: its contacts belong to their token alone again.
--
-- Used by Imports._give_up.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
DELETE FROM crm_sync.import_contacts
WHERE crm_sync.import_contacts.import_id = :'the_import'::UUID
    AND crm_sync.import_contacts.destination = :'destination_1'::VARCHAR;
