-- is_over
--
-- Remove an alert that is over; of all that do so at the same time, one gets its name back.
--
-- Used by AlertLedger.forget_outage, AlertLedger.notify, is_over.
--
-- Parameters:
-- \set key 'ann@example.com'

DELETE FROM crm_sync.alerts WHERE crm_sync.alerts.name = :'key'::VARCHAR RETURNING crm_sync.alerts.name;
