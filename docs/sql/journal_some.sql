-- journal_some
--
-- Journal at most :size contacts of import :the_import and take them out of it; returns their results,
-- counted.
--
-- `lacks_number` tells those whose message says that they were sent without their phone number.
-- :results has the results by address; that of every other contact is :others_outcome. It is the first
-- attempt for all of them, or they would not be in an import. Written so that no plan rests on a guess
-- of how many there are.
--
-- Used by Imports.finish.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'
-- \set size '100'
-- \set token '00000000-0000-0000-0000-000000000000'
-- \set by_run 'text'
-- \set results '{}'
-- \set others_outcome 'text'
-- \set others_reason 'text'
-- \set others_message 'text'
-- \set called 'text'

\set destination_1 'brevo'
\set param_1 'outcome'
\set param_2 'reason'
\set param_3 'message'
\set nullif_1 ''
\set param_4 'outcome'
\set coalesce_4 'rejected'
\set param_5 'outcome'
\set coalesce_5 'deferred'
\set strpos_1 0
WITH done AS (
    DELETE FROM crm_sync.import_contacts
    WHERE crm_sync.import_contacts.destination = :'destination_1'::VARCHAR
        AND crm_sync.import_contacts.import_id = :'the_import'::UUID
        AND crm_sync.import_contacts.contact_id = ANY (
            array(
                (
                    SELECT crm_sync.import_contacts.contact_id
                    FROM crm_sync.import_contacts
                    WHERE crm_sync.import_contacts.import_id = :'the_import'::UUID
                    ORDER BY crm_sync.import_contacts.contact_id
                    LIMIT :'size'::INTEGER
                )
            )
        )
    RETURNING crm_sync.import_contacts.contact_id,
        crm_sync.import_contacts.destination,
        crm_sync.import_contacts.import_id,
        crm_sync.import_contacts.contact_hash,
        crm_sync.import_contacts.payload_hash,
        crm_sync.import_contacts.address_hash,
        crm_sync.import_contacts.message,
        crm_sync.import_contacts.remote_fields
),
written AS (
    INSERT INTO crm_sync.attempts (
        contact_id,
        destination,
        claim_token,
        run_id,
        number,
        outcome,
        reason,
        message,
        request_id,
        contact_hash,
        payload_hash,
        remote_fields
    )
    SELECT done.contact_id AS contact_id,
        done.destination AS destination,
        :'token'::UUID AS anon_1,
        :'by_run'::VARCHAR AS anon_2,
        1,
        coalesce(
            ((SELECT CAST(:'results'::VARCHAR AS JSONB) AS anon_3)[done.address_hash]) ->> :'param_1'::TEXT,
            :'others_outcome'::VARCHAR
        ) AS coalesce_1,
        coalesce(
            ((SELECT CAST(:'results'::VARCHAR AS JSONB) AS anon_3)[done.address_hash]) ->> :'param_2'::TEXT,
            :'others_reason'::VARCHAR
        ) AS coalesce_2,
        coalesce(
            nullif(
                coalesce(
                    (
                        (SELECT CAST(:'results'::VARCHAR AS JSONB) AS anon_3)[done.address_hash]
                    ) ->> :'param_3'::TEXT,
                    :'others_message'::VARCHAR
                ),
                :'nullif_1'::VARCHAR
            ),
            done.message
        ) AS coalesce_3,
        :'called'::VARCHAR AS anon_4,
        done.contact_hash AS contact_hash,
        done.payload_hash AS payload_hash,
        CASE
            WHEN (
                coalesce(
                    (
                        (
                            (SELECT CAST(:'results'::VARCHAR AS JSONB) AS anon_3)[done.address_hash]
                        ) ->> :'param_4'::TEXT
                    ),
                    :'others_outcome'::VARCHAR
                ) != :'coalesce_4'::VARCHAR
            ) THEN done.remote_fields
        END AS anon_5
    FROM done
    WHERE coalesce(
        (((SELECT CAST(:'results'::VARCHAR AS JSONB) AS anon_3)[done.address_hash]) ->> :'param_5'::TEXT),
        :'others_outcome'::VARCHAR
    ) != :'coalesce_5'::VARCHAR
    ON CONFLICT (claim_token, contact_id) DO NOTHING
    RETURNING crm_sync.attempts.outcome, crm_sync.attempts.reason, crm_sync.attempts.message
)
SELECT written.outcome,
    written.reason,
    strpos(written.message, 'Sent without its phone number, which') > :'strpos_1'::INTEGER AS lacks_number,
    count(*) AS total
FROM written
GROUP BY written.outcome,
    written.reason,
    strpos(written.message, 'Sent without its phone number, which') > :'strpos_1'::INTEGER;
