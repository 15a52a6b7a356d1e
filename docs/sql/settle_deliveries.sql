-- settle_deliveries
--
-- Write the transitions :settled to deliveries alone, whose contacts a person changed, and end their
-- claims.
--
-- Used by Settling._settle_together.
--
-- Parameters:
-- \set settled_rows '[]'

\set claim_token NULL
\set lease_expires_at NULL
\set late_payload_hash NULL
WITH settled AS (
    SELECT settled.id AS id,
        settled.token AS token,
        settled.error AS error,
        settled.keeps_error AS keeps_error,
        settled.reference AS reference,
        settled.shared AS shared,
        settled.retry_count AS retry_count,
        settled.due_in_seconds AS due_in_seconds,
        settled.lost_count AS lost_count,
        settled.remote_id AS remote_id,
        settled.payload_hash AS payload_hash,
        settled.remote_fields AS remote_fields,
        settled.synced_at AS synced_at
    FROM json_to_recordset(CAST(:'settled_rows'::VARCHAR AS JSON)) AS settled(
        id UUID,
        token UUID,
        error TEXT,
        keeps_error BOOLEAN,
        reference TEXT,
        shared TEXT,
        retry_count INTEGER,
        due_in_seconds FLOAT,
        lost_count INTEGER,
        remote_id TEXT,
        payload_hash TEXT,
        remote_fields TEXT,
        synced_at TIMESTAMP WITH TIME ZONE
    )
)
UPDATE crm_sync.deliveries
SET retry_count=settled.retry_count,
    next_retry_at=(now() + interval '1 second' * settled.due_in_seconds),
    claim_token=:claim_token::UUID,
    lease_expires_at=:lease_expires_at::TIMESTAMP WITH TIME ZONE,
    lost_count=settled.lost_count,
    remote_id=settled.remote_id,
    payload_hash=settled.payload_hash,
    synced_at=coalesce(settled.synced_at, crm_sync.deliveries.synced_at),
    late_payload_hash=:late_payload_hash::VARCHAR,
    remote_fields=settled.remote_fields
FROM settled
WHERE crm_sync.deliveries.contact_id = settled.id
    AND crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.claim_token = settled.token;
