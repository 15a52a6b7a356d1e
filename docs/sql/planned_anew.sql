-- planned_anew
--
-- For a transaction whose statements look into imports.
--
-- PostgreSQL keeps the plan of a statement that it has seen a few times. One that it made while there
-- was no import goes through all that an import holds, for each of its contacts, once there is one.
--
-- Used by Imports._do, Imports.take_up, PLANNED_ANEW, Settling._spares_imports.

SET LOCAL plan_cache_mode = force_custom_plan;
