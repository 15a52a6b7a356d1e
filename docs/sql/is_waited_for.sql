-- is_waited_for
--
-- Whether the lease on import :the_import is alive. Asked under its lock, this sees the truth.
--
-- Used by Imports.adopt.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
SELECT EXISTS (
    SELECT *
    FROM crm_sync.imports
    WHERE crm_sync.imports.id = :'the_import'::UUID
        AND crm_sync.imports.destination = :'destination_1'::VARCHAR
        AND (
            EXISTS (
                SELECT *
                FROM crm_sync.import_contacts
                JOIN crm_sync.deliveries ON crm_sync.deliveries.contact_id = crm_sync.import_contacts.contact_id
                    AND crm_sync.deliveries.destination = crm_sync.import_contacts.destination
                WHERE crm_sync.import_contacts.import_id = crm_sync.imports.id
                    AND crm_sync.deliveries.claim_token = crm_sync.imports.claim_token
                    AND CASE WHEN (crm_sync.deliveries.lease_expires_at > now()) THEN true ELSE false END
            )
        )
) AS anon_1;
