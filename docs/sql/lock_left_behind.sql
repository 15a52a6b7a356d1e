-- lock_left_behind
--
-- Lock the oldest import whose run is gone; one that another run adopts now is skipped.
--
-- Used by Imports.adopt.

\set destination_1 'brevo'
\set param_1 1
SELECT crm_sync.imports.id,
    crm_sync.imports.claim_token,
    crm_sync.imports.taken_up,
    EXTRACT(epoch FROM now() - crm_sync.imports.posted_at) AS age_seconds
FROM crm_sync.imports
WHERE crm_sync.imports.destination = :'destination_1'::VARCHAR
    AND crm_sync.imports.finished_at IS NULL
    AND NOT (
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
ORDER BY crm_sync.imports.posted_at
LIMIT :'param_1'::INTEGER
FOR
UPDATE SKIP LOCKED;
