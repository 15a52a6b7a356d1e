-- add
--
-- So many more contacts were changed by the act.
--
-- Used by Acts.carry_out.

\set contacts_1 10
\set id_1 1
UPDATE crm_sync.acts
SET contacts=(crm_sync.acts.contacts + :'contacts_1'::INTEGER)
WHERE crm_sync.acts.id = :'id_1'::BIGINT;
