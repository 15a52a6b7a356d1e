-- end_aside
--
-- Let the contact :id be claimed at once where it was put aside: a person wants to see whether it
-- works now.
--
-- Used by Claiming.one.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'

UPDATE crm_sync.deliveries
SET lease_expires_at=now()
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.contact_id = :'id'::UUID
    AND (
        EXISTS (
            SELECT *
            FROM crm_sync.attempts
            WHERE crm_sync.attempts.claim_token = crm_sync.deliveries.claim_token
                AND crm_sync.attempts.contact_id = crm_sync.deliveries.contact_id
                AND crm_sync.attempts.reason = 'not_claimed'
        )
    );
