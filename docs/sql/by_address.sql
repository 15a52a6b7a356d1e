-- by_address
--
-- The contacts that may have the address with this :key and :start (see `may_be_address`), in id
-- order.
--
-- Used by Selection.find.
--
-- Parameters:
-- \set key 'ann@example.com'
-- \set start 'ann@'

SELECT public.contacts.id AS id, CAST(public.contacts.email AS TEXT) COLLATE "default" AS email
FROM public.contacts
WHERE lower(
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
ORDER BY public.contacts.id;
