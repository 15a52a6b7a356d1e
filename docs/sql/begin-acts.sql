-- begin
--
-- Write an act down; returns its id.
--
-- Used by Acts._begin, History.forget.

\set actor 'ann'
\set verb 'select'
\set destinations '{brevo}'
\set scope 'all contacts'
\set contacts 0
INSERT INTO crm_sync.acts (actor, verb, destinations, scope, contacts)
VALUES (:'actor'::VARCHAR, :'verb'::VARCHAR, :'destinations'::TEXT[], :'scope'::VARCHAR, :'contacts'::INTEGER)
RETURNING crm_sync.acts.id;
