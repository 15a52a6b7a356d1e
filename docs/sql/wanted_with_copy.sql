-- wanted_with_copy
--
-- The contacts that are wanted at the destination and have one of the copies :remote_ids there, a row
-- each.
--
-- Read by a look at every delivery, so it is asked for what has moved alone.
--
-- Used by ContactQueue.shared_copies.
--
-- Parameters:
-- \set remote_ids '{}'

\set param_1 1
SELECT crm_sync.deliveries.contact_id, crm_sync.deliveries.remote_id
FROM crm_sync.deliveries
JOIN LATERAL (
    SELECT true AS anon_1
    FROM public.contacts
    WHERE public.contacts.id = crm_sync.deliveries.contact_id
        AND public.contacts.brevo_sync_status IN ('Selected', 'Queued', 'Processing', 'Complete')
    LIMIT :'param_1'::INTEGER
) AS is_wanted ON true
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.remote_id = ANY (:'remote_ids'::TEXT[]);
