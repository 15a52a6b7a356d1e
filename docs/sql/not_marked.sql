-- not_marked
--
-- Of :ids, those that mark_claimed put under :token without putting them on Processing: a trigger kept
-- it out.
--
-- Used by Claiming._take.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set ids '{}'

SELECT crm_sync.deliveries.contact_id
FROM crm_sync.deliveries
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.claim_token = :'token'::UUID
    AND crm_sync.deliveries.contact_id = ANY (:'ids'::uuid[])
    AND NOT coalesce(
        (
            SELECT CASE
                WHEN (public.contacts.brevo_processing_status = 'Processing') THEN true ELSE false
            END AS anon_1
            FROM public.contacts
            WHERE public.contacts.id = crm_sync.deliveries.contact_id
        ),
        false
    );
