-- stranded
--
-- The contacts that stand Processing though they are not claimed, and that nothing has touched for a
-- lease.
--
-- Used by _is_left_behind, longest_expired, recover_stranded.
--
-- Parameters:
-- \set lease_seconds '300'

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
ORDER BY public.contacts.updated_at;
