-- work_for_a_run
--
-- How many deliveries are due, counted up to :limit; where none is, whether dead runs left something
-- behind.
--
-- Used by work_for_runs.
--
-- Parameters:
-- \set lease_seconds '300'
-- \set limit '100'

\set due_1 0
\set param_1 1
\set param_2 1
SELECT anon_1.due,
    CASE
        WHEN (anon_1.due = :'due_1'::INTEGER) THEN (
            SELECT crm_sync.deliveries.contact_id
            FROM crm_sync.deliveries
            WHERE crm_sync.deliveries.destination = 'brevo'
                AND crm_sync.deliveries.claim_token IS NOT NULL
                AND crm_sync.deliveries.lease_expires_at <= now()
            ORDER BY crm_sync.deliveries.lease_expires_at
            LIMIT :'param_1'::INTEGER
        ) IS NOT NULL
            OR (
                SELECT public.contacts.id AS id
                FROM public.contacts
                WHERE public.contacts.brevo_processing_status = 'Processing'
                    AND public.contacts.updated_at <= now() - interval '1 second' * :'lease_seconds'
                    AND (
                        SELECT crm_sync.deliveries.claim_token
                        FROM crm_sync.deliveries
                        WHERE crm_sync.deliveries.contact_id = public.contacts.id
                            AND crm_sync.deliveries.destination = 'brevo'
                    ) IS NULL
                ORDER BY public.contacts.updated_at
                LIMIT :'param_2'::INTEGER
            ) IS NOT NULL
        ELSE false
    END AS needs_recovery
FROM (
    SELECT count(*) AS due
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
                        ) AS anon_3
                    FROM crm_sync.deliveries
                    WHERE crm_sync.deliveries.contact_id = public.contacts.id
                        AND crm_sync.deliveries.destination = 'brevo'
                ),
                true
            )
        ORDER BY coalesce(
            CASE
                WHEN (
                    public.contacts.last_failed_crm = 'brevo'
                    AND public.contacts.brevo_sync_status != 'Selected'
                ) THEN public.contacts.next_retry_at
            END,
            'epoch'::timestamptz
        ),
            public.contacts.updated_at
        LIMIT :'limit'::INTEGER
    ) AS anon_2
) AS anon_1;
