-- is_wanted_still
--
-- A condition that other statements contain, shown as the condition of a query.
--
-- It waits, or is being delivered.
--
-- Used by VERBS.

SELECT public.contacts.id AS id
FROM public.contacts
WHERE public.contacts.brevo_processing_status IN ('Queued', 'Processing');
