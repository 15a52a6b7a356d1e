-- seen_now
--
-- Used by AlertLedger.note_outage, seen_now.
--
-- Parameters:
-- \set key 'ann@example.com'

\set message ''
INSERT INTO crm_sync.alerts (name, message)
VALUES (:'key'::VARCHAR, :'message'::VARCHAR)
ON CONFLICT (name)
DO UPDATE SET raised_at = now();
