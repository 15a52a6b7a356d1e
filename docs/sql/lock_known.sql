-- lock_known
--
-- Those of :ids that there are, locked in id order, so that two selections cannot deadlock.
--
-- Used by ContactQueue._note_late_calls, History.forget.
--
-- Parameters:
-- \set ids '{}'

SELECT public.contacts.id AS id
FROM public.contacts
WHERE public.contacts.id = ANY (:'ids'::uuid[])
ORDER BY public.contacts.id
FOR NO KEY UPDATE;
