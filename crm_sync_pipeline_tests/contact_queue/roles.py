"""Roles as hosted databases give them out: they own nothing, and may do what was granted."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from crm_sync_pipeline_tests.builders import World

_numbers = itertools.count(1)

ON_CONTACTS = "GRANT USAGE ON SCHEMA public TO {role}; GRANT SELECT, UPDATE ON contacts TO {role};"
ON_OURS = (
    "GRANT USAGE ON SCHEMA crm_sync TO {role};"
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA crm_sync TO {role};"
)


@contextmanager
def a_role(world: World, script: str = "", kind: str = "role") -> Iterator[tuple[str, World]]:
    """A new role, after `script`, which may name it as {role}; with it the database as this role reaches it."""
    role = f"{kind}_{next(_numbers)}"
    world.script(f"CREATE ROLE {role} LOGIN;{script.format(role=role)}")
    theirs = World(sa.engine.make_url(world.url).set(username=role).render_as_string(hide_password=False), world.table)
    try:
        yield role, theirs
    finally:
        theirs.engine.dispose()
        world.script(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
