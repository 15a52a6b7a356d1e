-- known_ids_of
--
-- The destinations' own ids of the contact :id that the journal tells, the oldest first.
--
-- Used by _known_ids, known_ids_of.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'

SELECT crm_sync.attempts.destination, crm_sync.attempts.remote_id
FROM crm_sync.attempts
WHERE crm_sync.attempts.contact_id = :'id'::UUID AND crm_sync.attempts.remote_id IS NOT NULL
GROUP BY crm_sync.attempts.destination, crm_sync.attempts.remote_id
ORDER BY crm_sync.attempts.destination, min(crm_sync.attempts.id);
