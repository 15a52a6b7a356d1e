-- move_deliveries
--
-- Put what import :the_import holds under :token with a new lease, unless the lease of :old_token is
-- alive.
--
-- It counts as a loss, up to the number from which a contact goes into no import: or a worker that
-- dies whenever it imports, for want of memory, would be followed by another one for ever.
--
-- Used by Imports.adopt.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set lease_seconds '300'
-- \set by_run 'text'
-- \set the_import '00000000-0000-0000-0000-000000000000'
-- \set old_token '00000000-0000-0000-0000-000000000000'

\set lost_count_1 1
\set least_1 2
\set destination_1 'brevo'
UPDATE crm_sync.deliveries
SET claim_token=:'token'::UUID,
    lease_expires_at=(now() + interval '1 second' * :'lease_seconds'),
    lost_count=least(crm_sync.deliveries.lost_count + :'lost_count_1'::INTEGER, :'least_1'::INTEGER),
    run_id=:'by_run'::VARCHAR
FROM crm_sync.import_contacts
WHERE crm_sync.deliveries.contact_id = crm_sync.import_contacts.contact_id
    AND crm_sync.deliveries.destination = crm_sync.import_contacts.destination
    AND crm_sync.import_contacts.import_id = :'the_import'::UUID
    AND crm_sync.deliveries.destination = :'destination_1'::VARCHAR
    AND crm_sync.deliveries.claim_token = :'old_token'::UUID
    AND CASE WHEN (crm_sync.deliveries.lease_expires_at <= now()) THEN true ELSE false END;
