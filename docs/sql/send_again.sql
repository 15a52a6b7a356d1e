-- send_again
--
-- Queue :late_contact again if it is Complete with another payload than :sent_late, which came later.
--
-- Used by ContactQueue._note_late_calls.
--
-- Parameters:
-- \set late_contact '00000000-0000-0000-0000-000000000000'
-- \set sent_late 'text'

UPDATE public.contacts
SET updated_at=now(), brevo_sync_status='Queued', brevo_processing_status='Queued'
WHERE public.contacts.id = :'late_contact'::UUID
    AND public.contacts.brevo_processing_status = 'Complete'
    AND public.contacts.brevo_sync_status = 'Complete'
    AND (
        EXISTS (
            SELECT *
            FROM crm_sync.deliveries
            WHERE crm_sync.deliveries.contact_id = public.contacts.id
                AND crm_sync.deliveries.destination = 'brevo'
                AND crm_sync.deliveries.claim_token IS NULL
                AND crm_sync.deliveries.payload_hash IS DISTINCT FROM :'sent_late'::VARCHAR
        )
    );
