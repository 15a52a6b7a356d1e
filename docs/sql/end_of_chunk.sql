-- end_of_chunk
--
-- The id behind the :size contacts that begin with the id :first; none where the table ends before
-- that.
--
-- Used by ChunkedUpdate.over_table.
--
-- Parameters:
-- \set first '00000000-0000-0000-0000-000000000000'
-- \set size '100'

\set param_1 1
SELECT public.contacts.id AS id
FROM public.contacts
WHERE public.contacts.id >= :'first'::UUID
ORDER BY public.contacts.id
LIMIT :'param_1'::INTEGER
OFFSET :'size'::INTEGER;
