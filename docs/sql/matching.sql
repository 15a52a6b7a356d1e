-- matching
--
-- A condition that other statements contain, shown as the condition of a query.
--
-- Whether a contact is one of those wanted. Statuses are compared as text: an enum may lack a label.
--
-- Used by Selection._target.

\set param_1 '{Complete}'
\set param_2 '{New}'
\set param_3 '{Complete,Error}'
\set lower_1 'corporate'
\set lower_2 '00000000-0000-4000-8000-0000000000d1'
\set lower_3 '00000000-0000-4000-8000-0000000000e1'
\set param_4 true
\set param_5 '@example.com'
\set strpos_1 0
\set param_6 'ann'
\set strpos_2 0
\set substring_1 '^(lease_expired|not_recorded): '
\set outcome_1 'synced'
\set destination_1 'brevo'
\set param_7 1
\set param_8 '{http_503}'
\set outcome_2 'synced'
\set destination_2 'brevo'
\set param_9 1
\set param_10 86400.0
\set outcome_3 'synced'
\set destination_3 'brevo'
\set param_11 1
\set param_12 3600.0
SELECT public.contacts.id AS id
FROM public.contacts
WHERE CAST(public.contacts.brevo_sync_status AS TEXT) = ANY (:'param_1'::TEXT[])
    AND CAST(public.contacts.hubspot_sync_status AS TEXT) = ANY (:'param_2'::TEXT[])
    AND CAST(public.contacts.brevo_processing_status AS TEXT) = ANY (:'param_3'::TEXT[])
    AND lower(CAST(public.contacts.email_type AS TEXT)) = :'lower_1'::VARCHAR
    AND lower(CAST(public.contacts.domain_id AS TEXT)) = :'lower_2'::VARCHAR
    AND lower(CAST(public.contacts.page_id AS TEXT)) = :'lower_3'::VARCHAR
    AND coalesce(public.contacts.has_gmail, false) = :'param_4'
    AND strpos(
        lower(CAST(public.contacts.email AS TEXT) COLLATE "default"), lower(:'param_5'::VARCHAR)
    ) > :'strpos_1'::INTEGER
    AND strpos(
        lower(CAST(public.contacts.name AS TEXT) COLLATE "default"), lower(:'param_6'::VARCHAR)
    ) > :'strpos_2'::INTEGER
    AND coalesce(
        SUBSTRING(
            CAST(public.contacts.brevo_processing_error AS TEXT) COLLATE "default"
            FROM :'substring_1'::VARCHAR
        ),
        (
            SELECT CASE
                WHEN (crm_sync.attempts.outcome != :'outcome_1'::VARCHAR) THEN crm_sync.attempts.reason
            END AS anon_1
            FROM crm_sync.attempts
            WHERE crm_sync.attempts.contact_id = public.contacts.id
                AND crm_sync.attempts.destination = :'destination_1'::VARCHAR
            ORDER BY crm_sync.attempts.id DESC
            LIMIT :'param_7'::INTEGER
        )
    ) = ANY (:'param_8'::TEXT[])
    AND (
        SELECT CASE
            WHEN (crm_sync.attempts.outcome != :'outcome_2'::VARCHAR) THEN crm_sync.attempts.attempted_at
        END AS anon_2
        FROM crm_sync.attempts
        WHERE crm_sync.attempts.contact_id = public.contacts.id
            AND crm_sync.attempts.destination = :'destination_2'::VARCHAR
        ORDER BY crm_sync.attempts.id DESC
        LIMIT :'param_9'::INTEGER
    ) >= now() - interval '1 second' * :'param_10'
    AND (
        SELECT CASE
            WHEN (crm_sync.attempts.outcome != :'outcome_3'::VARCHAR) THEN crm_sync.attempts.attempted_at
        END AS anon_3
        FROM crm_sync.attempts
        WHERE crm_sync.attempts.contact_id = public.contacts.id
            AND crm_sync.attempts.destination = :'destination_3'::VARCHAR
        ORDER BY crm_sync.attempts.id DESC
        LIMIT :'param_11'::INTEGER
    ) <= now() - interval '1 second' * :'param_12';
