-- is_empty
--
-- Whether import :the_import holds nobody any more.
--
-- Used by Imports.finish.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
SELECT NOT (
    EXISTS (
        SELECT *
        FROM crm_sync.import_contacts
        WHERE crm_sync.import_contacts.import_id = :'the_import'::UUID
            AND crm_sync.import_contacts.destination = :'destination_1'::VARCHAR
    )
) AS anon_1;
