-- forget_deleted_and_expired
--
-- Remove, or unclaim, at most :size deliveries under dead claims, of contacts that were deleted
-- meanwhile.
--
-- Used by Settling._settle_expired.
--
-- Parameters:
-- \set size '100'

WITH chosen AS (
    SELECT crm_sync.deliveries.contact_id AS contact_id
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.destination = 'brevo'
        AND crm_sync.deliveries.claim_token IS NOT NULL
        AND crm_sync.deliveries.lease_expires_at <= now()
        AND (
            SELECT public.contacts.id AS id
            FROM public.contacts
            WHERE public.contacts.id = crm_sync.deliveries.contact_id
        ) IS NULL
    ORDER BY crm_sync.deliveries.lease_expires_at
    LIMIT :'size'::INTEGER
    FOR
    UPDATE SKIP LOCKED
)
DELETE FROM crm_sync.deliveries USING chosen
WHERE crm_sync.deliveries.destination = 'brevo' AND crm_sync.deliveries.contact_id = chosen.contact_id;

-- Where row-level security may hide contacts:
\set claim_token NULL
\set lease_expires_at NULL
\set payload_hash NULL
\set late_payload_hash NULL
WITH chosen AS (
    SELECT crm_sync.deliveries.contact_id AS contact_id
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.destination = 'brevo'
        AND crm_sync.deliveries.claim_token IS NOT NULL
        AND crm_sync.deliveries.lease_expires_at <= now()
        AND (
            SELECT public.contacts.id AS id
            FROM public.contacts
            WHERE public.contacts.id = crm_sync.deliveries.contact_id
        ) IS NULL
    ORDER BY crm_sync.deliveries.lease_expires_at
    LIMIT :'size'::INTEGER
    FOR
    UPDATE SKIP LOCKED
)
UPDATE crm_sync.deliveries
SET claim_token=:claim_token::UUID,
    lease_expires_at=:lease_expires_at::TIMESTAMP WITH TIME ZONE,
    payload_hash=:payload_hash::VARCHAR,
    late_payload_hash=:late_payload_hash::VARCHAR
FROM chosen
WHERE crm_sync.deliveries.destination = 'brevo' AND crm_sync.deliveries.contact_id = chosen.contact_id;
