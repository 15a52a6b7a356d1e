-- work_for_runs
--
-- What a run would find for each of several destinations: how many deliveries are due, counted up to
-- :limit.
--
-- Where none is, whether dead runs left something behind. One row per destination, with its `number`
-- from 0.
--
-- Used by SharedLook._look.
--
-- Parameters:
-- \set lease_seconds '300'
-- \set limit '100'

\set due_1 0
\set param_1 1
\set param_2 1
\set due_2 0
\set param_3 1
\set param_4 1
SELECT 0 AS number, anon_1.due, anon_1.needs_recovery
FROM (
    SELECT anon_2.due AS due,
        CASE
            WHEN (anon_2.due = :'due_1'::INTEGER) THEN (
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
                            ) AS anon_4
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
        ) AS anon_3
    ) AS anon_2
) AS anon_1
UNION ALL
SELECT 1 AS number, anon_5.due, anon_5.needs_recovery
FROM (
    SELECT anon_6.due AS due,
        CASE
            WHEN (anon_6.due = :'due_2'::INTEGER) THEN (
                SELECT crm_sync.deliveries.contact_id
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.destination = 'hubspot'
                    AND crm_sync.deliveries.claim_token IS NOT NULL
                    AND crm_sync.deliveries.lease_expires_at <= now()
                ORDER BY crm_sync.deliveries.lease_expires_at
                LIMIT :'param_3'::INTEGER
            ) IS NOT NULL
                OR (
                    SELECT public.contacts.id AS id
                    FROM public.contacts
                    WHERE public.contacts.hubspot_processing_status = 'Processing'
                        AND public.contacts.updated_at <= now() - interval '1 second' * :'lease_seconds'
                        AND (
                            SELECT crm_sync.deliveries.claim_token
                            FROM crm_sync.deliveries
                            WHERE crm_sync.deliveries.contact_id = public.contacts.id
                                AND crm_sync.deliveries.destination = 'hubspot'
                        ) IS NULL
                    ORDER BY public.contacts.updated_at
                    LIMIT :'param_4'::INTEGER
                ) IS NOT NULL
            ELSE false
        END AS needs_recovery
    FROM (
        SELECT count(*) AS due
        FROM (
            SELECT 1
            FROM public.contacts
            WHERE public.contacts.hubspot_processing_status = 'Queued'
                AND public.contacts.hubspot_sync_status IN ('Selected', 'Queued')
                AND coalesce(
                    CASE
                        WHEN (
                            public.contacts.last_failed_crm = 'hubspot'
                            AND public.contacts.hubspot_sync_status != 'Selected'
                        ) THEN public.contacts.next_retry_at
                    END,
                    'epoch'::timestamptz
                ) <= now()
                AND coalesce(
                    (
                        SELECT crm_sync.deliveries.held_at IS NULL
                            AND (
                                public.contacts.hubspot_sync_status = 'Selected'
                                OR crm_sync.deliveries.next_retry_at IS NULL
                                OR crm_sync.deliveries.next_retry_at <= now()
                            )
                            AND (
                                crm_sync.deliveries.claim_token IS NULL
                                OR crm_sync.deliveries.lease_expires_at <= now()
                            ) AS anon_8
                        FROM crm_sync.deliveries
                        WHERE crm_sync.deliveries.contact_id = public.contacts.id
                            AND crm_sync.deliveries.destination = 'hubspot'
                    ),
                    true
                )
            ORDER BY coalesce(
                CASE
                    WHEN (
                        public.contacts.last_failed_crm = 'hubspot'
                        AND public.contacts.hubspot_sync_status != 'Selected'
                    ) THEN public.contacts.next_retry_at
                END,
                'epoch'::timestamptz
            ),
                public.contacts.updated_at
            LIMIT :'limit'::INTEGER
        ) AS anon_7
    ) AS anon_6
) AS anon_5;
