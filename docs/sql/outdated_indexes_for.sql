-- outdated_indexes_for
--
-- What an older version walked, and nothing does now.
--
-- Used by _indexes.

-- Statement 1:
DROP INDEX CONCURRENTLY IF EXISTS public.contacts_crm_sync_brevo_due;

-- Statement 2:
DROP INDEX CONCURRENTLY IF EXISTS public.contacts_crm_sync_brevo_processing;
