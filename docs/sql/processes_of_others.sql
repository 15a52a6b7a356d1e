-- processes_of_others
--
-- The destination's processes behind :after_number that are other imports of ours than :the_import.
--
-- NULL for each that may have become any process since: it has no number, and was not over long before
-- ours began.
--
-- Used by Imports.only_its_own.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'
-- \set after_number '100'

\set destination_1 'brevo'
\set param_1 3600.0
SELECT crm_sync.imports.process_id
FROM crm_sync.imports
WHERE crm_sync.imports.destination = :'destination_1'::VARCHAR
    AND crm_sync.imports.id != :'the_import'::UUID
    AND (
        crm_sync.imports.process_id > :'after_number'::BIGINT
        OR crm_sync.imports.process_id IS NULL
            AND (
                crm_sync.imports.finished_at IS NULL
                OR crm_sync.imports.finished_at > (
                    SELECT mine.posted_at FROM crm_sync.imports AS mine WHERE mine.id = :'the_import'::UUID
                ) - interval '1 second' * :'param_1'
            )
    );
