-- delivery_of
--
-- One contact's row and its delivery, with PostgreSQL's time.
--
-- The next retry is the later one of ours and the one in the contacts table, which keeps a contact out
-- of claims too.
--
-- Used by Report.facts.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'

SELECT public.contacts.email,
    CAST(public.contacts.brevo_sync_status AS TEXT) AS sync_status,
    CAST(public.contacts.brevo_processing_status AS TEXT) AS processing_status,
    public.contacts.brevo_processing_error AS error,
    now() AS now,
    greatest(
        crm_sync.deliveries.next_retry_at,
        CASE
            WHEN (crm_sync.deliveries.held_at IS NULL) THEN nullif(
                coalesce(
                    CASE
                        WHEN (
                            public.contacts.last_failed_crm = 'brevo'
                            AND public.contacts.brevo_sync_status != 'Selected'
                        ) THEN public.contacts.next_retry_at
                    END,
                    'epoch'::timestamptz
                ),
                'epoch'::timestamptz
            )
        END
    ) AS next_retry_at,
    crm_sync.deliveries.retry_count,
    crm_sync.deliveries.claim_token,
    crm_sync.deliveries.lease_expires_at,
    crm_sync.deliveries.lost_count,
    crm_sync.deliveries.run_id,
    crm_sync.deliveries.selected_at,
    crm_sync.deliveries.remote_id,
    crm_sync.deliveries.payload_hash,
    crm_sync.deliveries.synced_at,
    crm_sync.deliveries.late_payload_hash,
    crm_sync.deliveries.changed_only_at,
    crm_sync.deliveries.held_at,
    crm_sync.deliveries.remote_fields
FROM public.contacts
LEFT OUTER JOIN crm_sync.deliveries ON crm_sync.deliveries.contact_id = public.contacts.id
    AND crm_sync.deliveries.destination = 'brevo'
WHERE public.contacts.id = :'id'::UUID;
