-- count_known
--
-- How many contacts import :the_import holds, and how many of them have one of the addresses :hashes.
--
-- Used by Imports.unknown.
--
-- Parameters:
-- \set hashes '{}'
-- \set the_import '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
SELECT count(*) AS total,
    count(*) FILTER (WHERE crm_sync.import_contacts.address_hash = ANY (:'hashes'::TEXT[])) AS known
FROM crm_sync.import_contacts
WHERE crm_sync.import_contacts.import_id = :'the_import'::UUID
    AND crm_sync.import_contacts.destination = :'destination_1'::VARCHAR;
