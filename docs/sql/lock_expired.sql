-- lock_expired
--
-- Lock at most :size deliveries whose lease has run out, checked again under the lock: a live one is
-- not taken.
--
-- What is in progress in an import is left out: a claim adopts it instead.
--
-- Used by Settling._settle_expired.
--
-- Parameters:
-- \set size '100'

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
    AND crm_sync.deliveries.destination = 'brevo'
WHERE crm_sync.deliveries.claim_token IS NOT NULL
    AND crm_sync.deliveries.lease_expires_at <= now()
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
ORDER BY crm_sync.deliveries.lease_expires_at
LIMIT :'size'::INTEGER
FOR NO KEY UPDATE OF contacts, deliveries SKIP LOCKED;
