-- standing
--
-- Due, waiting for a retry, on hold, Processing and in Error, each counted up to :limit; the lag in
-- seconds.
--
-- What waits or is on hold is looked for among the :limit queued ones that are due last.
--
-- Used by Figures.now.
--
-- Parameters:
-- \set limit '100'

\set param_1 100
SELECT (
    SELECT count(*) AS count_1
    FROM (
        SELECT (
            SELECT CASE
                WHEN (crm_sync.deliveries.held_at IS NOT NULL) THEN 'held'
                WHEN (
                    public.contacts.brevo_sync_status != 'Selected'
                    AND crm_sync.deliveries.next_retry_at > now()
                ) THEN 'waiting'
            END AS anon_2
            FROM crm_sync.deliveries
            WHERE crm_sync.deliveries.contact_id = public.contacts.id
                AND crm_sync.deliveries.destination = 'brevo'
        ) AS stands
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
    ) AS anon_1
) AS due,
    (
        SELECT count(*) AS count_2
        FROM (
            SELECT (
                SELECT CASE
                    WHEN (crm_sync.deliveries.held_at IS NOT NULL) THEN 'held'
                    WHEN (
                        public.contacts.brevo_sync_status != 'Selected'
                        AND crm_sync.deliveries.next_retry_at > now()
                    ) THEN 'waiting'
                END AS anon_5
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = public.contacts.id
                    AND crm_sync.deliveries.destination = 'brevo'
            ) AS stands
            FROM public.contacts
            WHERE public.contacts.brevo_processing_status = 'Queued'
                AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
            ORDER BY coalesce(
                CASE
                    WHEN (
                        public.contacts.last_failed_crm = 'brevo'
                        AND public.contacts.brevo_sync_status != 'Selected'
                    ) THEN public.contacts.next_retry_at
                END,
                'epoch'::timestamptz
            ) DESC,
                public.contacts.updated_at DESC
            LIMIT :'limit'::INTEGER
        ) AS anon_4
        WHERE anon_4.stands = 'waiting'
    ) AS waiting,
    (
        SELECT count(*) AS count_3
        FROM (
            SELECT (
                SELECT CASE
                    WHEN (crm_sync.deliveries.held_at IS NOT NULL) THEN 'held'
                    WHEN (
                        public.contacts.brevo_sync_status != 'Selected'
                        AND crm_sync.deliveries.next_retry_at > now()
                    ) THEN 'waiting'
                END AS anon_5
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = public.contacts.id
                    AND crm_sync.deliveries.destination = 'brevo'
            ) AS stands
            FROM public.contacts
            WHERE public.contacts.brevo_processing_status = 'Queued'
                AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
            ORDER BY coalesce(
                CASE
                    WHEN (
                        public.contacts.last_failed_crm = 'brevo'
                        AND public.contacts.brevo_sync_status != 'Selected'
                    ) THEN public.contacts.next_retry_at
                END,
                'epoch'::timestamptz
            ) DESC,
                public.contacts.updated_at DESC
            LIMIT :'limit'::INTEGER
        ) AS anon_4
        WHERE anon_4.stands = 'held'
    ) AS held,
    (
        SELECT count(*) AS count_4
        FROM (
            SELECT public.contacts.id AS id
            FROM public.contacts
            WHERE public.contacts.brevo_processing_status = 'Processing'
            ORDER BY public.contacts.updated_at
            LIMIT :'limit'::INTEGER
        ) AS anon_6
    ) AS processing,
    (
        SELECT count(*) AS count_5
        FROM (
            SELECT public.contacts.id AS id
            FROM public.contacts
            WHERE public.contacts.brevo_processing_status = 'Error'
            ORDER BY public.contacts.updated_at
            LIMIT :'limit'::INTEGER
        ) AS anon_7
    ) AS error,
    EXTRACT(
        epoch
        FROM now() - least(
            (
                SELECT min(anon_8.since) AS min_1
                FROM (
                    SELECT greatest(
                        public.contacts.updated_at,
                        coalesce(
                            CASE
                                WHEN (
                                    public.contacts.last_failed_crm = 'brevo'
                                    AND public.contacts.brevo_sync_status != 'Selected'
                                ) THEN public.contacts.next_retry_at
                            END,
                            'epoch'::timestamptz
                        ),
                        (
                            SELECT crm_sync.deliveries.next_retry_at
                            FROM crm_sync.deliveries
                            WHERE crm_sync.deliveries.contact_id = public.contacts.id
                                AND crm_sync.deliveries.destination = 'brevo'
                                AND public.contacts.brevo_sync_status != 'Selected'
                        )
                    ) AS since
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
                                    ) AS anon_9
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
                    LIMIT :'param_1'::INTEGER
                ) AS anon_8
            ),
            (
                SELECT min(anon_10.since) AS min_2
                FROM (
                    SELECT greatest(
                        public.contacts.updated_at,
                        coalesce(
                            CASE
                                WHEN (
                                    public.contacts.last_failed_crm = 'brevo'
                                    AND public.contacts.brevo_sync_status != 'Selected'
                                ) THEN public.contacts.next_retry_at
                            END,
                            'epoch'::timestamptz
                        ),
                        (
                            SELECT crm_sync.deliveries.next_retry_at
                            FROM crm_sync.deliveries
                            WHERE crm_sync.deliveries.contact_id = public.contacts.id
                                AND crm_sync.deliveries.destination = 'brevo'
                                AND public.contacts.brevo_sync_status != 'Selected'
                        )
                    ) AS since
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
                                    ) AS anon_9
                                FROM crm_sync.deliveries
                                WHERE crm_sync.deliveries.contact_id = public.contacts.id
                                    AND crm_sync.deliveries.destination = 'brevo'
                            ),
                            true
                        )
                        AND coalesce(
                            CASE
                                WHEN (
                                    public.contacts.last_failed_crm = 'brevo'
                                    AND public.contacts.brevo_sync_status != 'Selected'
                                ) THEN public.contacts.next_retry_at
                            END,
                            'epoch'::timestamptz
                        ) > 'epoch'::timestamptz
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
                    LIMIT :'param_1'::INTEGER
                ) AS anon_10
            )
        )
    ) AS lag_seconds;
