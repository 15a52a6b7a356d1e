-- lock_one
--
-- Lock the contact :id, whatever its state, waiting for whoever writes to it now.
--
-- Used by Claiming.one.
--
-- Parameters:
-- \set id '00000000-0000-0000-0000-000000000000'

SELECT public.contacts.id AS id, public.contacts.ctid AS place
FROM public.contacts
WHERE public.contacts.id = :'id'::UUID
FOR NO KEY UPDATE;
