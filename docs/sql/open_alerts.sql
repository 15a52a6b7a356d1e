-- open_alerts
--
-- Used by AlertLedger.open_alerts, open_alerts.

SELECT crm_sync.alerts.name, crm_sync.alerts.raised_at, crm_sync.alerts.message
FROM crm_sync.alerts
ORDER BY crm_sync.alerts.raised_at, crm_sync.alerts.name;
