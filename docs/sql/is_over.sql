-- is_over
--
-- The same for the end of it.
--
-- Used by AlertLedger.forget_outage, AlertLedger.tell, is_over.
--
-- Parameters:
-- \set key 'ann@example.com'

DELETE FROM crm_sync.alerts WHERE crm_sync.alerts.name = :'key'::VARCHAR RETURNING crm_sync.alerts.name;
