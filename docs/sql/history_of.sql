-- history_of
--
-- The attempts of the contact :id, the oldest first.
--
-- Used by Report.facts.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'

\set destination_1 'brevo'
SELECT crm_sync.attempts.id,
    crm_sync.attempts.contact_id,
    crm_sync.attempts.destination,
    crm_sync.attempts.claim_token,
    crm_sync.attempts.run_id,
    crm_sync.attempts.number,
    crm_sync.attempts.outcome,
    crm_sync.attempts.reason,
    crm_sync.attempts.message,
    crm_sync.attempts.http_status,
    crm_sync.attempts.request_id,
    crm_sync.attempts.remote_id,
    crm_sync.attempts.milliseconds,
    crm_sync.attempts.contact_hash,
    crm_sync.attempts.payload_hash,
    crm_sync.attempts.attempted_at,
    crm_sync.attempts.remote_fields,
    crm_sync.attempts.request_size
FROM crm_sync.attempts
WHERE crm_sync.attempts.contact_id = :'id'::UUID AND crm_sync.attempts.destination = :'destination_1'::VARCHAR
ORDER BY crm_sync.attempts.id;
