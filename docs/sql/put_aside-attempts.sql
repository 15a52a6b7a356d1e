-- put_aside
--
-- Keep the contacts :refused out of every claim for :lease_seconds, under the token :aside; journal
-- why.
--
-- Only what is claimed by nobody else, or by :token.
--
-- Used by Claiming._put_aside.
--
-- Parameters:
-- \set refused_rows '[]'
-- \set aside '00000000-0000-0000-0000-000000000000'
-- \set lease_seconds '300'
-- \set of_run 'text'
-- \set token '00000000-0000-0000-0000-000000000000'

\set retry_count_1 1
WITH refused AS (
    SELECT refused.contact_id AS contact_id, refused.message AS message
    FROM json_to_recordset(CAST(:'refused_rows'::VARCHAR AS JSON)) AS refused(contact_id UUID, message TEXT)
),
taken AS (
    INSERT INTO crm_sync.deliveries (contact_id, destination, claim_token, lease_expires_at, run_id)
    SELECT refused.contact_id AS contact_id,
        'brevo',
        :'aside'::UUID AS anon_1,
        now() + interval '1 second' * :'lease_seconds' AS anon_4,
        :'of_run'::VARCHAR AS anon_2
    FROM refused
    ON CONFLICT (contact_id, destination)
    DO UPDATE SET claim_token = excluded.claim_token,
        lease_expires_at = excluded.lease_expires_at,
        run_id = excluded.run_id
    WHERE crm_sync.deliveries.claim_token IS NULL
        OR crm_sync.deliveries.lease_expires_at <= now()
        OR crm_sync.deliveries.claim_token = :'token'::UUID
    RETURNING crm_sync.deliveries.contact_id, crm_sync.deliveries.retry_count
)
INSERT INTO crm_sync.attempts (
    contact_id, destination, claim_token, run_id, number, outcome, reason, message, contact_hash
)
SELECT taken.contact_id,
    'brevo',
    :'aside'::UUID AS anon_1,
    :'of_run'::VARCHAR AS anon_2,
    taken.retry_count + :'retry_count_1'::INTEGER AS anon_3,
    'deferred',
    'not_claimed',
    refused.message,
    ''
FROM taken
JOIN refused ON taken.contact_id = refused.contact_id;
