-- raised
--
-- Of all that write it down at the same time, one gets its name back.
--
-- Used by AlertLedger.notify, raised.
--
-- Parameters:
-- \set key 'ann@example.com'
-- \set said 'text'

INSERT INTO crm_sync.alerts (name, message)
VALUES (:'key'::VARCHAR, :'said'::VARCHAR)
ON CONFLICT DO NOTHING
RETURNING crm_sync.alerts.name;
