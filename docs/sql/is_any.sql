-- is_any
--
-- A row where the contacts table holds any.
--
-- Used by History.prune.

\set param_1 1
SELECT 1 FROM public.contacts LIMIT :'param_1'::INTEGER;
