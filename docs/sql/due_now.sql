-- due_now
--
-- How many deliveries are due, counted up to :limit: walks the index, never the table.
--
-- Used by ContactQueue.depth.
--
-- Parameters:
-- \set limit '100'

SELECT count(*) AS count_1
FROM (
    SELECT 1
    FROM public.contacts
    WHERE public.contacts.brevo_processing_status = 'Queued'
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
        AND coalesce(
            CASE
                WHEN (
                    public.contacts.last_failed_crm = 'brevo'
                    AND public.contacts.brevo_sync_status != 'Selected'
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
                        crm_sync.deliveries.claim_token IS NULL
                        OR crm_sync.deliveries.lease_expires_at <= now()
                    ) AS anon_2
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
    LIMIT :'limit'::INTEGER
) AS anon_1;
