-- reserve_slice
--
-- Take the next :seconds of the account's time; returns in how many seconds they begin.
--
-- Used by SharedPace.reserve.
--
-- Parameters:
-- \set seconds '300'

\set destination 'brevo'
INSERT INTO crm_sync.destinations (destination, paced_until)
VALUES (:'destination'::VARCHAR, (clock_timestamp() + interval '1 second' * :'seconds'))
ON CONFLICT (destination)
DO UPDATE SET paced_until = (
    greatest(crm_sync.destinations.paced_until, clock_timestamp()) + interval '1 second' * :'seconds'
)
RETURNING EXTRACT(
    epoch FROM (crm_sync.destinations.paced_until - interval '1 second' * :'seconds') - clock_timestamp()
) AS anon_1;
