-- counts_by_state
--
-- How many contacts stand where, by what a person sees: the processing status, else the sync status.
--
-- Used by Report.status.

SELECT coalesce(
    CAST(public.contacts.brevo_processing_status AS TEXT), CAST(public.contacts.brevo_sync_status AS TEXT)
) AS state,
    count(*) AS total
FROM public.contacts
GROUP BY coalesce(
    CAST(public.contacts.brevo_processing_status AS TEXT), CAST(public.contacts.brevo_sync_status AS TEXT)
);
