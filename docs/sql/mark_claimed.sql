-- mark_claimed
--
-- Put the locked contacts :ids at :places under :token.
--
-- Contacts that another live token has claimed in the meantime are left unchanged. So is one that
-- waits for a retry, or is on hold, after all: between lock_due's snapshot and its lock, another run
-- may have claimed the contact, and even settled it. A fresh selection starts with no retries done. As
-- many rows count as updated as were claimed. They are found by their places, because in a large table
-- each look at an index of random ids is one at a page that no processor has at hand; a table that
-- inherits from contacts may have others there.
--
-- Used by Claiming._take.
--
-- Parameters:
-- \set places '{}'
-- \set ids '{}'
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set lease_seconds '300'
-- \set run_id 'text'

\set param_1 0
\set param_2 NULL
\set param_3 0
\set param_4 NULL
WITH chosen AS (
    SELECT public.contacts.id AS id,
        public.contacts.brevo_sync_status = 'Selected' AS fresh,
        public.contacts.updated_at AS decided_at
    FROM public.contacts
    WHERE public.contacts.ctid = ANY (:'places'::tid[])
        AND CASE WHEN (public.contacts.id = ANY (:'ids'::uuid[])) THEN true ELSE false END
),
taken AS (
    INSERT INTO crm_sync.deliveries (
        contact_id, destination, claim_token, lease_expires_at, run_id, selected_at
    )
    SELECT chosen.id AS id,
        'brevo',
        :'token'::UUID AS anon_1,
        now() + interval '1 second' * :'lease_seconds' AS anon_2,
        :'run_id'::VARCHAR AS anon_3,
        CASE WHEN chosen.fresh THEN chosen.decided_at END AS anon_4
    FROM chosen
    ON CONFLICT (contact_id, destination)
    DO UPDATE SET retry_count = CASE
        WHEN (excluded.selected_at IS NOT NULL) THEN :'param_1'::INTEGER ELSE crm_sync.deliveries.retry_count
    END,
        next_retry_at = :param_2::TIMESTAMP WITH TIME ZONE,
        claim_token = excluded.claim_token,
        lease_expires_at = excluded.lease_expires_at,
        lost_count = CASE
            WHEN (excluded.selected_at IS NOT NULL) THEN :'param_3'::INTEGER
            ELSE crm_sync.deliveries.lost_count
        END,
        run_id = excluded.run_id,
        selected_at = coalesce(excluded.selected_at, crm_sync.deliveries.selected_at),
        late_payload_hash = :param_4::VARCHAR
    WHERE crm_sync.deliveries.held_at IS NULL
        AND (crm_sync.deliveries.claim_token IS NULL OR crm_sync.deliveries.lease_expires_at <= now())
        AND (
            excluded.selected_at IS NOT NULL
            OR crm_sync.deliveries.next_retry_at IS NULL
            OR crm_sync.deliveries.next_retry_at <= now()
        )
    RETURNING crm_sync.deliveries.contact_id
)
UPDATE public.contacts
SET updated_at=now(), brevo_sync_status='Processing', brevo_processing_status='Processing'
WHERE public.contacts.ctid = ANY (:'places'::tid[])
    AND CASE WHEN (public.contacts.id IN (SELECT taken.contact_id FROM taken)) THEN true ELSE false END;
