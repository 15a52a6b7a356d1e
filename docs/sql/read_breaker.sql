-- read_breaker
--
-- Why the destination is down, since when, and when the next probe is due; no row while the breaker is
-- closed.
--
-- Used by BreakerRecord.read.

\set destination_1 'brevo'
SELECT crm_sync.destinations.reason,
    crm_sync.destinations.message,
    crm_sync.destinations.probes_done,
    EXTRACT(epoch FROM crm_sync.destinations.next_probe_at - now()) AS probe_in_seconds,
    EXTRACT(epoch FROM now() - crm_sync.destinations.down_since) AS lasted_seconds
FROM crm_sync.destinations
WHERE crm_sync.destinations.destination = :'destination_1'::VARCHAR
    AND crm_sync.destinations.down_since IS NOT NULL;
