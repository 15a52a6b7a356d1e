-- close_breaker
--
-- Close the breaker; no row where it is not open.
--
-- Used by BreakerRecord.close.

\set down_since NULL
\set reason NULL
\set message NULL
\set probes_done 0
\set next_probe_at NULL
\set destination_1 'brevo'
UPDATE crm_sync.destinations
SET down_since=:down_since::TIMESTAMP WITH TIME ZONE,
    reason=:reason::VARCHAR,
    message=:message::VARCHAR,
    probes_done=:'probes_done'::INTEGER,
    next_probe_at=:next_probe_at::TIMESTAMP WITH TIME ZONE
WHERE crm_sync.destinations.destination = :'destination_1'::VARCHAR
    AND crm_sync.destinations.down_since IS NOT NULL;
