-- live_claim_of_run
--
-- Whether the run :run_id has a live claim.
--
-- Used by ContactQueue.has_live_claim.
--
-- Parameters:
-- \set run_id 'text'

\set param_1 1
SELECT (
    SELECT crm_sync.deliveries.contact_id
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.destination = 'brevo'
        AND crm_sync.deliveries.claim_token IS NOT NULL
        AND crm_sync.deliveries.lease_expires_at > now()
        AND crm_sync.deliveries.run_id = :'run_id'::VARCHAR
    ORDER BY crm_sync.deliveries.lease_expires_at
    LIMIT :'param_1'::INTEGER
) IS NOT NULL AS anon_1;
