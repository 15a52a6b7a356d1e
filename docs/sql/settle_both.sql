-- settle_both
--
-- Write the transitions :settled to contacts that are still Processing, and to their deliveries.
--
-- One that a person changed keeps their decision. The shared retry columns are a copy for readers: a
-- failure writes them, a success clears them only when the last failure was this destination's own.
--
-- Used by Settling._settle_refused, Settling._settle_together.
--
-- Parameters:
-- \set settled_rows '[]'

\set param_2 NULL
\set param_3 NULL
\set param_4 NULL
\set shared_1 'record_failure'
\set shared_2 'clear_if_ours'
\set param_1 0
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
),
end_claim AS (
    UPDATE crm_sync.deliveries
    SET retry_count=settled.retry_count,
        next_retry_at=(now() + interval '1 second' * settled.due_in_seconds),
        claim_token=:param_2::UUID,
        lease_expires_at=:param_3::TIMESTAMP WITH TIME ZONE,
        lost_count=settled.lost_count,
        remote_id=settled.remote_id,
        payload_hash=settled.payload_hash,
        synced_at=coalesce(settled.synced_at, crm_sync.deliveries.synced_at),
        late_payload_hash=:param_4::VARCHAR,
        remote_fields=settled.remote_fields
    FROM settled
    WHERE crm_sync.deliveries.contact_id = settled.id
        AND crm_sync.deliveries.destination = 'brevo'
        AND crm_sync.deliveries.claim_token = settled.token
)
UPDATE public.contacts
SET updated_at=now(), retry_count=CASE
WHEN (settled.shared = :'shared_1'::VARCHAR) THEN settled.retry_count
WHEN (
    settled.shared = :'shared_2'::VARCHAR AND coalesce(public.contacts.last_failed_crm, 'brevo') = 'brevo'
) THEN :'param_1'::INTEGER
ELSE public.contacts.retry_count END, next_retry_at=CASE
WHEN (settled.shared = :'shared_1'::VARCHAR) THEN now() + interval '1 second' * settled.due_in_seconds
WHEN (
    settled.shared = :'shared_2'::VARCHAR AND coalesce(public.contacts.last_failed_crm, 'brevo') = 'brevo'
) THEN NULL
ELSE public.contacts.next_retry_at END, last_retry_at=CASE
WHEN (settled.shared = :'shared_1'::VARCHAR) THEN now()
ELSE public.contacts.last_retry_at END, last_failed_crm=CASE
WHEN (settled.shared = :'shared_1'::VARCHAR) THEN 'brevo'
WHEN (
    settled.shared = :'shared_2'::VARCHAR AND coalesce(public.contacts.last_failed_crm, 'brevo') = 'brevo'
) THEN NULL
ELSE public.contacts.last_failed_crm END,
    brevo_sync_status='Complete',
    brevo_processing_status='Complete',
    brevo_processing_error=CASE
WHEN settled.keeps_error THEN public.contacts.brevo_processing_error
ELSE settled.error END, brevo_contact_id=coalesce(settled.reference, public.contacts.brevo_contact_id)
FROM settled
WHERE public.contacts.id = settled.id
    AND CASE
        WHEN (
            public.contacts.brevo_processing_status = 'Processing'
            AND public.contacts.brevo_sync_status = 'Processing'
        ) THEN true
        ELSE false
    END;
