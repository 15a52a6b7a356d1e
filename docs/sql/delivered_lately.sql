-- delivered_lately
--
-- What may be sent of the contacts that were delivered in the newest :limit attempts, as their rows
-- are now.
--
-- Used by ContactQueue.sample.
--
-- Parameters:
-- \set limit '100'

\set param_1 1
SELECT its_contact.id,
    its_contact.email,
    its_contact.name,
    its_contact.phone_number,
    its_contact.domain_id,
    its_contact.page_id,
    its_contact.email_type,
    its_contact.source_url,
    its_contact.has_gmail
FROM (
    SELECT DISTINCT anon_2.contact_id AS contact_id
    FROM (
        SELECT crm_sync.attempts.contact_id AS contact_id,
            crm_sync.attempts.destination AS destination,
            crm_sync.attempts.outcome AS outcome
        FROM crm_sync.attempts
        ORDER BY crm_sync.attempts.id DESC
        LIMIT :'limit'::INTEGER
    ) AS anon_2
    WHERE anon_2.destination = 'brevo' AND anon_2.outcome = 'synced'
) AS anon_1
JOIN LATERAL (
    SELECT public.contacts.id AS id,
        CAST(public.contacts.email AS TEXT) AS email,
        CAST(public.contacts.name AS TEXT) AS name,
        CAST(public.contacts.phone_number AS TEXT) AS phone_number,
        CAST(public.contacts.domain_id AS TEXT) AS domain_id,
        CAST(public.contacts.page_id AS TEXT) AS page_id,
        CAST(public.contacts.email_type AS TEXT) AS email_type,
        CAST(public.contacts.source_url AS TEXT) AS source_url,
        public.contacts.has_gmail AS has_gmail
    FROM public.contacts
    WHERE public.contacts.id = anon_1.contact_id
    LIMIT :'param_1'::INTEGER
) AS its_contact ON true;
