-- longest_expired
--
-- The lease that ran out first and was not recovered: how long ago, and in which run; no row where all
-- is well.
--
-- Used by AlertLedger.health.

\set param_1 1
SELECT EXTRACT(epoch FROM now() - crm_sync.deliveries.lease_expires_at) AS seconds, crm_sync.deliveries.run_id
FROM crm_sync.deliveries
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.claim_token IS NOT NULL
    AND crm_sync.deliveries.lease_expires_at <= now()
ORDER BY crm_sync.deliveries.lease_expires_at
LIMIT :'param_1'::INTEGER;
