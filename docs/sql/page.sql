-- page
--
-- The next :size contacts of :token behind :after, in id order; `goes` tells those that may go into an
-- import.
--
-- They are as the claim left them, and the token has not attempted them. It is their first attempt
-- since they were selected: one that failed goes by itself, so that imports can't fail it for its
-- neighbours' sake. So does one that two workers in a row lost. What is known of their copies is read
-- as by `known_of_copy`.
--
-- Used by Imports.candidates.
--
-- Parameters:
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set after '00000000-0000-0000-0000-000000000000'
-- \set size '100'
-- \set everything 'false'

\set retry_count_1 0
\set lost_count_1 2
\set param_1 1
WITH claimed AS MATERIALIZED (
    SELECT crm_sync.deliveries.contact_id AS contact_id
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.claim_token = :'token'::UUID AND crm_sync.deliveries.contact_id > :'after'::UUID
    ORDER BY crm_sync.deliveries.contact_id
    LIMIT :'size'::INTEGER
)
SELECT claimed.contact_id AS id,
    its_contact.is_claimed
    AND crm_sync.deliveries.retry_count = :'retry_count_1'::INTEGER
    AND crm_sync.deliveries.lost_count < :'lost_count_1'::INTEGER
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
    END AS goes,
    its_contact.is_claimed,
    its_contact.delivered_to,
    its_contact.remote_id,
    its_contact.remote_fields,
    its_contact.delivered_last,
    its_contact.email,
    its_contact.name,
    its_contact.phone_number,
    its_contact.domain_id,
    its_contact.page_id,
    its_contact.email_type,
    its_contact.source_url,
    its_contact.has_gmail
FROM claimed
JOIN crm_sync.deliveries ON crm_sync.deliveries.contact_id = claimed.contact_id
    AND crm_sync.deliveries.destination = 'brevo'
LEFT OUTER JOIN LATERAL (
    SELECT CASE
        WHEN (
            public.contacts.brevo_processing_status = 'Processing'
            AND public.contacts.brevo_sync_status = 'Processing'
        ) THEN true
        ELSE false
    END AS is_claimed,
        CASE
            WHEN (crm_sync.deliveries.synced_at IS NOT NULL) THEN CAST(public.contacts.brevo_contact_id AS TEXT)
        END AS delivered_to,
        crm_sync.deliveries.remote_id AS remote_id,
        crm_sync.deliveries.remote_fields AS remote_fields,
        CASE
            WHEN (
                :'everything' OR crm_sync.deliveries.changed_only_at = crm_sync.deliveries.selected_at
            ) THEN crm_sync.deliveries.payload_hash
        END AS delivered_last,
        CAST(public.contacts.email AS TEXT) AS email,
        CAST(public.contacts.name AS TEXT) AS name,
        CAST(public.contacts.phone_number AS TEXT) AS phone_number,
        CAST(public.contacts.domain_id AS TEXT) AS domain_id,
        CAST(public.contacts.page_id AS TEXT) AS page_id,
        CAST(public.contacts.email_type AS TEXT) AS email_type,
        CAST(public.contacts.source_url AS TEXT) AS source_url,
        public.contacts.has_gmail AS has_gmail
    FROM public.contacts
    WHERE public.contacts.id = claimed.contact_id
    LIMIT :'param_1'::INTEGER
) AS its_contact ON true
ORDER BY claimed.contact_id;
