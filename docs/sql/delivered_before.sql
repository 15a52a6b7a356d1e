-- delivered_before
--
-- What is known of the copies of those that :token has claimed and the destination may have, one row
-- each.
--
-- See `known_of_copy`. Each contact is looked up by its id: a join might read the whole table.
--
-- Used by ContactQueue.delivered_before.
--
-- Parameters:
-- \set everything 'false'
-- \set token '00000000-0000-0000-0000-000000000000'

\set param_1 1
SELECT crm_sync.deliveries.contact_id,
    its_copy.delivered_to,
    its_copy.remote_id,
    its_copy.remote_fields,
    its_copy.delivered_last
FROM crm_sync.deliveries
JOIN LATERAL (
    SELECT CASE
        WHEN (crm_sync.deliveries.synced_at IS NOT NULL) THEN CAST(public.contacts.brevo_contact_id AS TEXT)
    END AS delivered_to,
        crm_sync.deliveries.remote_id AS remote_id,
        crm_sync.deliveries.remote_fields AS remote_fields,
        CASE
            WHEN (
                :'everything' OR crm_sync.deliveries.changed_only_at = crm_sync.deliveries.selected_at
            ) THEN crm_sync.deliveries.payload_hash
        END AS delivered_last
    FROM public.contacts
    WHERE public.contacts.id = crm_sync.deliveries.contact_id
    LIMIT :'param_1'::INTEGER
) AS its_copy ON true
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.claim_token = :'token'::UUID
    AND (crm_sync.deliveries.synced_at IS NOT NULL OR crm_sync.deliveries.remote_fields IS NOT NULL);
