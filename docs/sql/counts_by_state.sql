-- counts_by_state
--
-- How many contacts stand where, by what a person sees: the processing status, else the sync status.
--
-- `not_wanted` are those of them that are Queued although their sync status says that nobody selected
-- them.
--
-- Used by Report.status.

SELECT coalesce(
    CAST(public.contacts.brevo_processing_status AS TEXT), CAST(public.contacts.brevo_sync_status AS TEXT)
) AS state,
    count(*) AS total,
    count(*) FILTER (
        WHERE public.contacts.brevo_processing_status = 'Queued'
            AND NOT (
                public.contacts.brevo_processing_status = 'Queued'
                AND public.contacts.brevo_sync_status IN ('Selected', 'Queued')
            )
    ) AS not_wanted
FROM public.contacts
GROUP BY coalesce(
    CAST(public.contacts.brevo_processing_status AS TEXT), CAST(public.contacts.brevo_sync_status AS TEXT)
);
