-- wanted_with_address
--
-- The addresses of rows that are wanted at the destination and may have one of the addresses :keys.
--
-- Read by a look at every row, so it is asked for what has moved alone. PostgreSQL knows nothing of
-- international domains: every address that holds anything but visible ASCII is among them.
--
-- Used by ContactQueue.wanted_addresses.
--
-- Parameters:
-- \set keys '{}'

SELECT CAST(public.contacts.email AS TEXT) AS email
FROM public.contacts
WHERE public.contacts.brevo_sync_status IN ('Selected', 'Queued', 'Processing', 'Complete')
    AND (
        lower(
            regexp_replace(CAST(public.contacts.email AS TEXT), '[^!-~]+', '', 'g') COLLATE "C"
        ) = ANY (:'keys'::TEXT[])
        OR CAST(public.contacts.email AS TEXT) ~ '[^!-~]'
    );
