-- failures_of
--
-- The first :limit attempts under :tokens that failed or were refused, and what happens next; nothing
-- personal.
--
-- Used by Figures.failures.
--
-- Parameters:
-- \set tokens '{}'
-- \set limit '100'

SELECT crm_sync.attempts.contact_id,
    crm_sync.attempts.reason,
    crm_sync.attempts.number,
    (
        SELECT crm_sync.deliveries.next_retry_at
        FROM crm_sync.deliveries
        WHERE crm_sync.deliveries.contact_id = crm_sync.attempts.contact_id
            AND crm_sync.deliveries.destination = 'brevo'
    ) AS next_retry_at,
    (
        SELECT CAST(public.contacts.brevo_processing_status AS TEXT) AS brevo_processing_status
        FROM public.contacts
        WHERE public.contacts.id = crm_sync.attempts.contact_id
    ) AS state
FROM crm_sync.attempts
WHERE crm_sync.attempts.claim_token = ANY (:'tokens'::UUID[])
    AND crm_sync.attempts.outcome IN ('failed', 'rejected')
ORDER BY crm_sync.attempts.claim_token, crm_sync.attempts.contact_id
LIMIT :'limit'::INTEGER;
