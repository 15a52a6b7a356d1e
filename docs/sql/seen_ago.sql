-- seen_ago
--
-- When something was seen last that nobody is told of: nothing where it never was.
--
-- Used by AlertLedger.health, seen_ago.
--
-- Parameters:
-- \set key 'ann@example.com'

SELECT EXTRACT(epoch FROM now() - crm_sync.alerts.raised_at) AS anon_1
FROM crm_sync.alerts
WHERE crm_sync.alerts.name = :'key'::VARCHAR;
