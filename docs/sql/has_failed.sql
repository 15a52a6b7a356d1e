-- has_failed
--
-- A condition that other statements contain, shown as the condition of a query.
--
-- It is in Error or waits for a retry, and nobody has given it a fresh start since.
--
-- Used by VERBS, requeue.

\set retry_count_1 0
SELECT public.contacts.id AS id
FROM public.contacts
WHERE public.contacts.brevo_processing_status = 'Error'
    OR public.contacts.brevo_processing_status = 'Queued'
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
        AND public.contacts.brevo_sync_status != 'Selected'
        AND (
            SELECT crm_sync.deliveries.retry_count > :'retry_count_1'::INTEGER
                OR crm_sync.deliveries.next_retry_at > now() AS anon_1
            FROM crm_sync.deliveries
            WHERE crm_sync.deliveries.contact_id = public.contacts.id
                AND crm_sync.deliveries.destination = 'brevo'
        );
