-- expired_leases
--
-- How many deliveries a dead run holds still.
--
-- Used by Report.status.

SELECT count(*) AS count_1
FROM crm_sync.deliveries
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.claim_token IS NOT NULL
    AND crm_sync.deliveries.lease_expires_at <= now();
