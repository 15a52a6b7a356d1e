-- put_aside
--
-- Keep what :token has claimed of :ids out of every claim's and recovery's way for :lease_seconds.
--
-- Used by Settling._settle_refused.
--
-- Parameters:
-- \set lease_seconds '300'
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set ids '{}'

\set destination_1 'brevo'
UPDATE crm_sync.deliveries
SET lease_expires_at=(now() + interval '1 second' * :'lease_seconds')
WHERE crm_sync.deliveries.destination = :'destination_1'::VARCHAR
    AND crm_sync.deliveries.claim_token = :'token'::UUID
    AND crm_sync.deliveries.contact_id = ANY (:'ids'::uuid[]);
