-- add_breaker
--
-- The destination's row, with a closed breaker, where it has none yet.
--
-- Used by BreakerRecord.open.

\set destination 'brevo'
INSERT INTO crm_sync.destinations (destination) VALUES (:'destination'::VARCHAR) ON CONFLICT DO NOTHING;
