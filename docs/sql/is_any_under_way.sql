-- is_any_under_way
--
-- Whether there is any import under way.
--
-- Used by Settling._spares_imports.

SELECT EXISTS (
    SELECT *
    FROM crm_sync.imports
    WHERE crm_sync.imports.destination = 'brevo' AND crm_sync.imports.finished_at IS NULL
) AS anon_1;
