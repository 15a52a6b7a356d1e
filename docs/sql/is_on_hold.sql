-- is_on_hold
--
-- A condition that other statements contain, shown as the condition of a query.
--
-- Whether a person put it on hold: each delivery is looked up.
--
-- Used by VERBS, _not_on_hold.

SELECT public.contacts.id AS id
FROM public.contacts
WHERE (
    SELECT crm_sync.deliveries.held_at
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.contact_id = public.contacts.id AND crm_sync.deliveries.destination = 'brevo'
) IS NOT NULL;
