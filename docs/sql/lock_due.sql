-- lock_due
--
-- Lock at most :size due contacts, those due longest first; rows that others hold are skipped, never
-- waited for.
--
-- FOR NO KEY UPDATE, because FOR UPDATE would skip contacts to which a foreign key was just added. A
-- fresh selection forgets the losses.
--
-- Used by Claiming.due.
--
-- Parameters:
-- \set size '100'

\set param_1 0
\set coalesce_1 0
SELECT public.contacts.id AS id,
    public.contacts.ctid AS place,
    CASE
        WHEN (public.contacts.brevo_sync_status = 'Selected') THEN :'param_1'::INTEGER
        ELSE coalesce(
            (
                SELECT crm_sync.deliveries.lost_count
                FROM crm_sync.deliveries
                WHERE crm_sync.deliveries.contact_id = public.contacts.id
                    AND crm_sync.deliveries.destination = 'brevo'
            ),
            :'coalesce_1'::INTEGER
        )
    END AS lost_count,
    public.contacts.brevo_sync_status = 'Selected' AS is_fresh
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
LIMIT :'size'::INTEGER
FOR NO KEY UPDATE OF contacts SKIP LOCKED;
