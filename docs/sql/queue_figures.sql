-- queue_figures
--
-- Due, waiting, on hold and not wanted; the lag; the next retry. Reads all that is Queued.
--
-- Used by Report.status.

SELECT count(*) FILTER (
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
        AND crm_sync.deliveries.held_at IS NULL
        AND (
            public.contacts.brevo_sync_status = 'Selected'
            OR crm_sync.deliveries.next_retry_at IS NULL
            OR crm_sync.deliveries.next_retry_at <= now()
        )
        AND (crm_sync.deliveries.claim_token IS NULL OR crm_sync.deliveries.lease_expires_at <= now())
) AS due,
    count(*) FILTER (
        WHERE public.contacts.brevo_processing_status = 'Queued'
            AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
            AND public.contacts.brevo_sync_status != 'Selected'
            AND crm_sync.deliveries.next_retry_at > now()
            AND crm_sync.deliveries.held_at IS NULL
    ) AS waiting,
    count(*) FILTER (
        WHERE public.contacts.brevo_processing_status = 'Queued'
            AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
            AND crm_sync.deliveries.held_at IS NOT NULL
    ) AS held,
    count(*) FILTER (
        WHERE NOT (
            public.contacts.brevo_processing_status = 'Queued'
            AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
        )
    ) AS not_wanted,
    EXTRACT(
        epoch
        FROM now() - (
            min(
                greatest(
                    public.contacts.updated_at,
                    coalesce(
                        CASE
                            WHEN (public.contacts.brevo_sync_status != 'Selected') THEN crm_sync.deliveries.next_retry_at
                        END,
                        'epoch'::timestamptz
                    )
                )
            ) FILTER (
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
                    AND crm_sync.deliveries.held_at IS NULL
                    AND (
                        public.contacts.brevo_sync_status = 'Selected'
                        OR crm_sync.deliveries.next_retry_at IS NULL
                        OR crm_sync.deliveries.next_retry_at <= now()
                    )
                    AND (
                        crm_sync.deliveries.claim_token IS NULL
                        OR crm_sync.deliveries.lease_expires_at <= now()
                    )
            )
        )
    ) AS lag_seconds,
    min(crm_sync.deliveries.next_retry_at) FILTER (
        WHERE public.contacts.brevo_processing_status = 'Queued'
            AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
            AND public.contacts.brevo_sync_status != 'Selected'
            AND crm_sync.deliveries.next_retry_at > now()
            AND crm_sync.deliveries.held_at IS NULL
    ) AS next_retry_at
FROM public.contacts
LEFT OUTER JOIN crm_sync.deliveries ON crm_sync.deliveries.contact_id = public.contacts.id
    AND crm_sync.deliveries.destination = 'brevo'
WHERE public.contacts.brevo_processing_status = 'Queued';
