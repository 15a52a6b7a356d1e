-- overwritten_by
--
-- The other contacts that may have the address with this :key and :start (see `may_be_address`).
--
-- Of those that were delivered after :synced_at, with data of their own, the last one first. What one
-- write journaled has one time: there the order of the journal tells. There is no index on addresses:
-- this reads the whole table.
--
-- Used by _overwritten_by.
--
-- Parameters:
-- \set key 'ann@example.com'
-- \set start 'ann@'
-- \set id '00000000-0000-0000-0000-000000000000'
-- \set synced_at 'now'
-- \set payload_hash 'text'

SELECT public.contacts.id AS id,
    CAST(public.contacts.email AS TEXT) COLLATE "default" AS email,
    crm_sync.deliveries.synced_at
FROM public.contacts
JOIN crm_sync.deliveries ON crm_sync.deliveries.contact_id = public.contacts.id
    AND crm_sync.deliveries.destination = 'brevo'
WHERE (
    lower(
        regexp_replace(CAST(public.contacts.email AS TEXT) COLLATE "default", '[^!-~]+', '', 'g') COLLATE "C"
    ) = :'key'::VARCHAR
    OR (CAST(public.contacts.email AS TEXT) COLLATE "default") ~ '[^!-~]'
        AND starts_with(
            lower(
                regexp_replace(
                    CAST(public.contacts.email AS TEXT) COLLATE "default", '[^!-~]+', '', 'g'
                ) COLLATE "C"
            ),
            :'start'::VARCHAR
        )
)
    AND public.contacts.id != :'id'::UUID
    AND (
        crm_sync.deliveries.synced_at > :'synced_at'::TIMESTAMP WITH TIME ZONE
        OR crm_sync.deliveries.synced_at = :'synced_at'::TIMESTAMP WITH TIME ZONE
            AND (
                SELECT max(crm_sync.attempts.id) AS max_1
                FROM crm_sync.attempts
                WHERE crm_sync.attempts.contact_id = public.contacts.id
                    AND crm_sync.attempts.destination = 'brevo'
            ) > (
                SELECT max(crm_sync.attempts.id) AS max_2
                FROM crm_sync.attempts
                WHERE crm_sync.attempts.contact_id = :'id'::UUID AND crm_sync.attempts.destination = 'brevo'
            )
    )
    AND (
        crm_sync.deliveries.payload_hash IS NULL
        OR crm_sync.deliveries.payload_hash IS DISTINCT FROM :'payload_hash'::VARCHAR
    )
ORDER BY crm_sync.deliveries.synced_at DESC,
    (
        SELECT max(crm_sync.attempts.id) AS max_3
        FROM crm_sync.attempts
        WHERE crm_sync.attempts.contact_id = public.contacts.id AND crm_sync.attempts.destination = 'brevo'
    ) DESC;
