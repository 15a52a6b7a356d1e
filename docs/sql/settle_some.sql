-- settle_some
--
-- Write one transition to the locked contacts whose row is as it was read, and that no late call has
-- overtaken.
--
-- An address in :came_to has an outcome of its own, and is left out. Questions for each row, by
-- primary keys.
--
-- Used by Imports._settle_some.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'
-- \set size '100'
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set came_to '{}'

\set destination_1 'brevo'
\set param_5 NULL
\set param_6 false
\set param_7 'clear_if_ours'
\set param_8 0
\set param_9 0
\set param_10 1
\set param_11 1
\set param_2 NULL
\set param_3 NULL
\set param_4 NULL
\set shared_1 'record_failure'
\set shared_2 'clear_if_ours'
\set param_1 0
WITH "some" AS MATERIALIZED (
    SELECT crm_sync.import_contacts.contact_id AS contact_id,
        crm_sync.import_contacts.destination AS destination,
        crm_sync.import_contacts.import_id AS import_id,
        crm_sync.import_contacts.contact_hash AS contact_hash,
        crm_sync.import_contacts.payload_hash AS payload_hash,
        crm_sync.import_contacts.address_hash AS address_hash,
        crm_sync.import_contacts.row_version AS row_version,
        crm_sync.import_contacts.message AS message,
        crm_sync.import_contacts.remote_fields AS remote_fields
    FROM crm_sync.import_contacts
    WHERE crm_sync.import_contacts.import_id = :'the_import'::UUID
        AND crm_sync.import_contacts.destination = :'destination_1'::VARCHAR
    ORDER BY crm_sync.import_contacts.contact_id
    LIMIT :'size'::INTEGER
),
settled AS (
    SELECT CAST("some".contact_id AS UUID) AS id,
        CAST(:'token'::UUID AS UUID) AS token,
        CAST(:param_5::VARCHAR AS TEXT) AS error,
        CAST(:'param_6' AS BOOLEAN) AS keeps_error,
        CAST(CAST(as_read.email AS TEXT) AS TEXT) AS reference,
        CAST(:'param_7'::VARCHAR AS TEXT) AS shared,
        CAST(:'param_8'::INTEGER AS INTEGER) AS retry_count,
        CAST(NULL AS FLOAT) AS due_in_seconds,
        CAST(:'param_9'::INTEGER AS INTEGER) AS lost_count,
        CAST(held.remote_id AS TEXT) AS remote_id,
        CAST("some".payload_hash AS TEXT) AS payload_hash,
        CAST("some".remote_fields AS TEXT) AS remote_fields,
        CAST(now() AS TIMESTAMP WITH TIME ZONE) AS synced_at
    FROM "some"
    JOIN LATERAL (
        SELECT public.contacts.email AS email
        FROM public.contacts
        WHERE public.contacts.id = "some".contact_id
            AND CAST(xmin AS TEXT) = "some".row_version
            AND CASE
                WHEN (
                    public.contacts.brevo_processing_status = 'Processing'
                    AND public.contacts.brevo_sync_status = 'Processing'
                ) THEN true
                ELSE false
            END
        LIMIT :'param_10'::INTEGER
    ) AS as_read ON true
    JOIN LATERAL (
        SELECT crm_sync.deliveries.contact_id AS contact_id, crm_sync.deliveries.remote_id AS remote_id
        FROM crm_sync.deliveries
        WHERE crm_sync.deliveries.contact_id = "some".contact_id
            AND crm_sync.deliveries.destination = 'brevo'
            AND crm_sync.deliveries.claim_token = :'token'::UUID
            AND coalesce(crm_sync.deliveries.late_payload_hash, "some".payload_hash) = "some".payload_hash
        LIMIT :'param_11'::INTEGER
    ) AS held ON true
    WHERE (SELECT CAST(:'came_to'::VARCHAR AS JSONB) AS anon_1)["some".address_hash] IS NULL
),
let_go AS (
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
