-- open_breaker
--
-- Open the breaker for :why and :what_to_do. With `sets_probe` the next probe is due after
-- :probe_in_seconds.
--
-- Since when the destination is down stays as it is where the breaker is open already.
--
-- Used by BreakerRecord.open.
--
-- Parameters:
-- \set why 'text'
-- \set what_to_do 'text'
-- \set probes '100'
-- \set probe_in_seconds '300'

-- Where sets_probe is False:
\set destination_1 'brevo'
UPDATE crm_sync.destinations
SET down_since=coalesce(crm_sync.destinations.down_since, now()),
    reason=:'why'::VARCHAR,
    message=:'what_to_do'::VARCHAR
WHERE crm_sync.destinations.destination = :'destination_1'::VARCHAR;

-- Where sets_probe is True:
\set destination_1 'brevo'
UPDATE crm_sync.destinations
SET down_since=coalesce(crm_sync.destinations.down_since, now()),
    reason=:'why'::VARCHAR,
    message=:'what_to_do'::VARCHAR,
    probes_done=:'probes'::INTEGER,
    next_probe_at=(now() + interval '1 second' * :'probe_in_seconds')
WHERE crm_sync.destinations.destination = :'destination_1'::VARCHAR;
