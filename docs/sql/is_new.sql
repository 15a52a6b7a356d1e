-- is_new
--
-- A condition that other statements contain, shown as the condition of a query.
--
-- Nobody has decided anything of it yet.
--
-- Used by VERBS.

SELECT public.contacts.id AS id
FROM public.contacts
WHERE public.contacts.brevo_sync_status = 'New' AND public.contacts.brevo_processing_status IS NULL;
