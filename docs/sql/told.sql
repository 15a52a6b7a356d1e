-- told
--
-- Used by AlertLedger.told, told.

SELECT crm_sync.alerts.name, crm_sync.alerts.raised_at, crm_sync.alerts.message
FROM crm_sync.alerts
ORDER BY crm_sync.alerts.raised_at, crm_sync.alerts.name;
