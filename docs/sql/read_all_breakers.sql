-- read_all_breakers
--
-- The destinations that are down: why, since when, and when the next probe is due.
--
-- Used by all_down.

SELECT crm_sync.destinations.reason,
    crm_sync.destinations.message,
    crm_sync.destinations.probes_done,
    EXTRACT(epoch FROM crm_sync.destinations.next_probe_at - now()) AS probe_in_seconds,
    EXTRACT(epoch FROM now() - crm_sync.destinations.down_since) AS lasted_seconds,
    crm_sync.destinations.destination
FROM crm_sync.destinations
WHERE crm_sync.destinations.down_since IS NOT NULL;
