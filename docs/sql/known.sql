-- known
--
-- Those of :ids that there are.
--
-- Used by Selection.find.
--
-- Parameters:
-- \set ids '{}'

SELECT public.contacts.id AS id
FROM public.contacts
WHERE public.contacts.id = ANY (:'ids'::uuid[])
ORDER BY public.contacts.id;
