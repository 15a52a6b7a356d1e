-- ended_lately
--
-- Of the contacts in the newest :limit attempts that were attempted in the last day: how many ended,
-- and how.
--
-- Used by Figures.ended_lately.
--
-- Parameters:
-- \set limit '100'

SELECT count(*) FILTER (WHERE anon_1.state IN ('Complete', 'Error')) AS ended,
    count(*) FILTER (WHERE anon_1.state = 'Error') AS error
FROM (
    SELECT (
        SELECT CAST(public.contacts.brevo_processing_status AS TEXT) AS brevo_processing_status
        FROM public.contacts
        WHERE public.contacts.id = anon_2.contact_id
    ) AS state
    FROM (
        SELECT DISTINCT anon_3.contact_id AS contact_id
        FROM (
            SELECT crm_sync.attempts.contact_id AS contact_id,
                crm_sync.attempts.destination AS destination,
                crm_sync.attempts.attempted_at AS attempted_at
            FROM crm_sync.attempts
            ORDER BY crm_sync.attempts.id DESC
            LIMIT :'limit'::INTEGER
        ) AS anon_3
        WHERE anon_3.destination = 'brevo' AND anon_3.attempted_at > now() - interval '1 day'
    ) AS anon_2
) AS anon_1;
