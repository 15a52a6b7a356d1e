-- lock_breaker
--
-- The destination's row, locked, so that two runs that open the breaker do so one after the other.
--
-- Used by BreakerRecord.open.

\set destination_1 'brevo'
SELECT crm_sync.destinations.destination,
    crm_sync.destinations.down_since,
    crm_sync.destinations.reason,
    crm_sync.destinations.message,
    crm_sync.destinations.probes_done,
    crm_sync.destinations.next_probe_at,
    crm_sync.destinations.paced_until
FROM crm_sync.destinations
WHERE crm_sync.destinations.destination = :'destination_1'::VARCHAR
FOR
UPDATE;
