-- take_probe
--
-- Take the probe that is due: the next one is due after :probe_in_seconds. No row where none is due.
--
-- Used by BreakerRecord.take_probe.
--
-- Parameters:
-- \set probe_in_seconds '300'

\set destination_1 'brevo'
UPDATE crm_sync.destinations
SET next_probe_at=(now() + interval '1 second' * :'probe_in_seconds')
WHERE crm_sync.destinations.destination = :'destination_1'::VARCHAR
    AND crm_sync.destinations.down_since IS NOT NULL
    AND crm_sync.destinations.next_probe_at <= now();
