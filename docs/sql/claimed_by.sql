-- claimed_by
--
-- How many deliveries :token has claimed: not 0 after a COMMIT whose answer was lost.
--
-- Used by Claiming._claimed.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
SELECT count(*) AS count_1
FROM crm_sync.deliveries
WHERE crm_sync.deliveries.destination = :'destination_1'::VARCHAR
    AND crm_sync.deliveries.claim_token = :'token'::UUID;
