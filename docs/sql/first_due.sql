-- first_due
--
-- What may be sent of the first :limit contacts that are due.
--
-- Used by ContactQueue.sample.
--
-- Parameters:
-- \set limit '100'

SELECT public.contacts.id AS id,
    CAST(public.contacts.email AS TEXT) AS email,
    CAST(public.contacts.name AS TEXT) AS name,
    CAST(public.contacts.phone_number AS TEXT) AS phone_number,
    CAST(public.contacts.domain_id AS TEXT) AS domain_id,
    CAST(public.contacts.page_id AS TEXT) AS page_id,
    CAST(public.contacts.email_type AS TEXT) AS email_type,
    CAST(public.contacts.source_url AS TEXT) AS source_url,
    public.contacts.has_gmail AS has_gmail
FROM public.contacts
WHERE public.contacts.brevo_processing_status = 'Queued'
    AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
    AND coalesce(
        CASE
            WHEN (
                public.contacts.last_failed_crm = 'brevo' AND public.contacts.brevo_sync_status != 'Selected'
            ) THEN public.contacts.next_retry_at
        END,
        'epoch'::timestamptz
    ) <= now()
    AND coalesce(
        (
            SELECT crm_sync.deliveries.held_at IS NULL
                AND (
                    public.contacts.brevo_sync_status = 'Selected'
                    OR crm_sync.deliveries.next_retry_at IS NULL
                    OR crm_sync.deliveries.next_retry_at <= now()
                )
                AND (
                    crm_sync.deliveries.claim_token IS NULL OR crm_sync.deliveries.lease_expires_at <= now()
                ) AS anon_1
            FROM crm_sync.deliveries
            WHERE crm_sync.deliveries.contact_id = public.contacts.id
                AND crm_sync.deliveries.destination = 'brevo'
        ),
        true
    )
ORDER BY coalesce(
    CASE
        WHEN (
            public.contacts.last_failed_crm = 'brevo' AND public.contacts.brevo_sync_status != 'Selected'
        ) THEN public.contacts.next_retry_at
    END,
    'epoch'::timestamptz
),
    public.contacts.updated_at
LIMIT :'limit'::INTEGER;
