-- probe_now
--
-- Let the next probe be due now; no row where the destination is not down.
--
-- Used by BreakerRecord.probe_now.

\set destination_1 'brevo'
UPDATE crm_sync.destinations
SET next_probe_at=now()
WHERE crm_sync.destinations.destination = :'destination_1'::VARCHAR
    AND crm_sync.destinations.down_since IS NOT NULL;
