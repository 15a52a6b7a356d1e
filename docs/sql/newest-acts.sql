-- newest
--
-- The newest acts, the newest first.
--
-- Used by Acts.newest.

\set param_1 20
SELECT crm_sync.acts.id,
    crm_sync.acts.acted_at,
    crm_sync.acts.actor,
    crm_sync.acts.run_id,
    crm_sync.acts.verb,
    crm_sync.acts.destinations,
    crm_sync.acts.scope,
    crm_sync.acts.contacts
FROM crm_sync.acts
ORDER BY crm_sync.acts.id DESC
LIMIT :'param_1'::INTEGER;
