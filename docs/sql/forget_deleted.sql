-- forget_deleted
--
-- Remove what :token has claimed of contacts that were deleted meanwhile.
--
-- Where row-level security hides rows, what can't be seen need not be deleted: only the claim ends.
--
-- Used by Settling._settle_claimed.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'

DELETE FROM crm_sync.deliveries
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.claim_token = :'token'::UUID
    AND (
        SELECT public.contacts.id AS id
        FROM public.contacts
        WHERE public.contacts.id = crm_sync.deliveries.contact_id
    ) IS NULL;

-- Where row-level security may hide contacts:
\set claim_token NULL
\set lease_expires_at NULL
\set payload_hash NULL
\set late_payload_hash NULL
UPDATE crm_sync.deliveries
SET claim_token=:claim_token::UUID,
    lease_expires_at=:lease_expires_at::TIMESTAMP WITH TIME ZONE,
    payload_hash=:payload_hash::VARCHAR,
    late_payload_hash=:late_payload_hash::VARCHAR
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.claim_token = :'token'::UUID
    AND (
        SELECT public.contacts.id AS id
        FROM public.contacts
        WHERE public.contacts.id = crm_sync.deliveries.contact_id
    ) IS NULL;
