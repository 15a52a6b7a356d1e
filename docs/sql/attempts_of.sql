-- attempts_of
--
-- The journaled attempts of :ids under :tokens: at most one for each pair.
--
-- The time is text, because it is only written back: reading a thousand of them would take a while.
--
-- Used by Settling._attempts.
--
-- Parameters:
-- \set tokens '{}'
-- \set ids '{}'

\set destination_1 'brevo'
SELECT crm_sync.attempts.claim_token,
    crm_sync.attempts.contact_id,
    crm_sync.attempts.outcome,
    crm_sync.attempts.reason,
    crm_sync.attempts.message,
    crm_sync.attempts.remote_id,
    crm_sync.attempts.contact_hash,
    crm_sync.attempts.payload_hash,
    crm_sync.attempts.remote_fields,
    CAST(crm_sync.attempts.attempted_at AS TEXT) AS attempted_at
FROM crm_sync.attempts
WHERE crm_sync.attempts.destination = :'destination_1'::VARCHAR
    AND crm_sync.attempts.claim_token = ANY (:'tokens'::UUID[])
    AND crm_sync.attempts.contact_id = ANY (:'ids'::uuid[]);
