-- wait_for_another
--
-- Within this transaction, give up when another is still at it after so long.
--
-- Used by AlertLedger.notify, wait_for_another.

\set set_config_2 'lock_timeout'
\set set_config_3 '2s'
\set set_config_4 true
SELECT set_config(:'set_config_2'::VARCHAR, :'set_config_3'::VARCHAR, :'set_config_4') AS set_config_1;
