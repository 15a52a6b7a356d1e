-- lock_claimed
--
-- Lock at most :size deliveries of :token with their contacts, in id order: two settlers cannot
-- deadlock.
--
-- From the id :first on: those before it are not walked again. What the token waits for in an import
-- is left out.
--
-- Used by Settling._settle_claimed.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set first '00000000-0000-0000-0000-000000000000'
-- \set size '100'

WITH chosen AS (
    SELECT crm_sync.deliveries.contact_id AS contact_id
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.destination = 'brevo'
        AND crm_sync.deliveries.claim_token = :'token'::UUID
        AND crm_sync.deliveries.contact_id >= :'first'::UUID
        AND NOT CASE
            WHEN (
                SELECT EXISTS (
                    SELECT * FROM crm_sync.imports WHERE crm_sync.imports.finished_at IS NULL
                ) AS anon_1
            ) THEN coalesce(
                (
                    SELECT crm_sync.imports.claim_token
                    FROM crm_sync.import_contacts
                    JOIN crm_sync.imports ON crm_sync.imports.id = crm_sync.import_contacts.import_id
                    WHERE crm_sync.import_contacts.contact_id = crm_sync.deliveries.contact_id
                        AND crm_sync.import_contacts.destination = crm_sync.deliveries.destination
                ) = crm_sync.deliveries.claim_token,
                false
            )
            ELSE false
        END
    ORDER BY crm_sync.deliveries.contact_id
    LIMIT :'size'::INTEGER
)
SELECT public.contacts.id AS id,
    crm_sync.deliveries.claim_token,
    crm_sync.deliveries.retry_count,
    crm_sync.deliveries.lost_count,
    crm_sync.deliveries.payload_hash,
    crm_sync.deliveries.late_payload_hash,
    crm_sync.deliveries.remote_id,
    crm_sync.deliveries.remote_fields,
    CASE
        WHEN (crm_sync.deliveries.synced_at IS NOT NULL) THEN CAST(public.contacts.brevo_contact_id AS TEXT)
    END AS delivered_to,
    CASE
        WHEN (
            public.contacts.brevo_processing_status = 'Processing'
            AND public.contacts.brevo_sync_status = 'Processing'
        ) THEN true
        ELSE false
    END AS is_claimed,
    CAST(public.contacts.email AS TEXT) AS email,
    CAST(public.contacts.name AS TEXT) AS name,
    CAST(public.contacts.phone_number AS TEXT) AS phone_number,
    CAST(public.contacts.domain_id AS TEXT) AS domain_id,
    CAST(public.contacts.page_id AS TEXT) AS page_id,
    CAST(public.contacts.email_type AS TEXT) AS email_type,
    CAST(public.contacts.source_url AS TEXT) AS source_url,
    public.contacts.has_gmail AS has_gmail
FROM public.contacts
JOIN crm_sync.deliveries ON crm_sync.deliveries.contact_id = public.contacts.id
    AND crm_sync.deliveries.destination = 'brevo',
    chosen
WHERE crm_sync.deliveries.contact_id = chosen.contact_id AND crm_sync.deliveries.claim_token = :'token'::UUID
ORDER BY public.contacts.id
FOR NO KEY UPDATE OF contacts, deliveries;
