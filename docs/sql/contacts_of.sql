-- contacts_of
--
-- The contacts claimed under :token that are as the claim left them: who was unselected since is not
-- sent.
--
-- Nor is what the token has attempted already, or waits for in an import.
--
-- Used by ContactQueue.contacts_of.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'

\set param_1 1
SELECT its_contact.id,
    its_contact.email,
    its_contact.name,
    its_contact.phone_number,
    its_contact.domain_id,
    its_contact.page_id,
    its_contact.email_type,
    its_contact.source_url,
    its_contact.has_gmail,
    crm_sync.deliveries.selected_at
FROM crm_sync.deliveries
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
    WHERE public.contacts.id = crm_sync.deliveries.contact_id
        AND CASE
            WHEN (
                public.contacts.brevo_processing_status = 'Processing'
                AND public.contacts.brevo_sync_status = 'Processing'
            ) THEN true
            ELSE false
        END
    LIMIT :'param_1'::INTEGER
) AS its_contact ON true
WHERE crm_sync.deliveries.destination = 'brevo'
    AND crm_sync.deliveries.claim_token = :'token'::UUID
    AND (
        SELECT crm_sync.attempts.id
        FROM crm_sync.attempts
        WHERE crm_sync.attempts.claim_token = crm_sync.deliveries.claim_token
            AND crm_sync.attempts.contact_id = crm_sync.deliveries.contact_id
    ) IS NULL
    AND NOT CASE
        WHEN (
            SELECT EXISTS (
                SELECT * FROM crm_sync.imports WHERE crm_sync.imports.finished_at IS NULL
            ) AS anon_1
        ) THEN coalesce(
            (
                SELECT crm_sync.imports.claim_token
                FROM crm_sync.import_contacts
                JOIN crm_sync.imports ON crm_sync.imports.id = crm_sync.import_contacts.import_id
                WHERE crm_sync.import_contacts.contact_id = crm_sync.deliveries.contact_id
                    AND crm_sync.import_contacts.destination = crm_sync.deliveries.destination
            ) = crm_sync.deliveries.claim_token,
            false
        )
        ELSE false
    END
ORDER BY crm_sync.deliveries.contact_id;
