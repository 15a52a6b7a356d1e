-- prune_deliveries
--
-- Of the deliveries of the :size contacts from the id :first on, remove those of contacts that are
-- gone.
--
-- What is claimed stays until that is settled. One row: `last`, the id to go on behind, NULL at the
-- end, and how many are `of_gone`.
--
-- Used by History._prune_deliveries.
--
-- Parameters:
-- \set after '00000000-0000-0000-0000-000000000000'
-- \set size '100'

-- Where removes is False:
\set param_1 1
WITH chunk AS (
    SELECT crm_sync.deliveries.contact_id AS contact_id, crm_sync.deliveries.claim_token AS claim_token
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.contact_id > :'after'::UUID
    ORDER BY crm_sync.deliveries.contact_id
    LIMIT :'size'::INTEGER
),
doomed AS (
    SELECT chunk.contact_id AS contact_id
    FROM chunk
    WHERE chunk.claim_token IS NULL
        AND (
            SELECT public.contacts.id AS id FROM public.contacts WHERE public.contacts.id = chunk.contact_id
        ) IS NULL
)
SELECT (SELECT chunk.contact_id FROM chunk ORDER BY chunk.contact_id DESC LIMIT :'param_1'::INTEGER) AS last,
    (SELECT count(*) AS count_1 FROM doomed) AS of_gone;

-- Where removes is True:
\set param_1 1
WITH chunk AS (
    SELECT crm_sync.deliveries.contact_id AS contact_id, crm_sync.deliveries.claim_token AS claim_token
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.contact_id > :'after'::UUID
    ORDER BY crm_sync.deliveries.contact_id
    LIMIT :'size'::INTEGER
),
doomed AS (
    SELECT chunk.contact_id AS contact_id
    FROM chunk
    WHERE chunk.claim_token IS NULL
        AND (
            SELECT public.contacts.id AS id FROM public.contacts WHERE public.contacts.id = chunk.contact_id
        ) IS NULL
),
removed AS (
    DELETE FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.contact_id = ANY (array((SELECT doomed.contact_id FROM doomed)))
        AND crm_sync.deliveries.claim_token IS NULL
)
SELECT (SELECT chunk.contact_id FROM chunk ORDER BY chunk.contact_id DESC LIMIT :'param_1'::INTEGER) AS last,
    (SELECT count(*) AS count_1 FROM doomed) AS of_gone;
