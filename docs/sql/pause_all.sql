-- pause_all
--
-- Hand out none of the account's time for the next :seconds.
--
-- Used by SharedPace.pause.
--
-- Parameters:
-- \set seconds '300'

\set destination 'brevo'
INSERT INTO crm_sync.destinations (destination, paced_until)
VALUES (:'destination'::VARCHAR, (clock_timestamp() + interval '1 second' * :'seconds'))
ON CONFLICT (destination)
DO UPDATE SET paced_until = greatest(
    greatest(crm_sync.destinations.paced_until, clock_timestamp()),
    clock_timestamp() + interval '1 second' * :'seconds'
);
