"""One database for many tests, one after another: making one for each would take a third of all their time."""

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.contact_queue.worker.shared_look import shared_look
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline_tests.builders import World

MAX_ROWS = 1000
"""Of contacts, that are worth deleting."""

CATALOGUE = """
    SELECT array[
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_class WHERE oid >= 16384),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_attribute WHERE attrelid >= 16384),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_type WHERE oid >= 16384),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_proc WHERE oid >= 16384),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_attrdef),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_constraint WHERE oid >= 16384),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_index WHERE indexrelid >= 16384),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_trigger WHERE oid >= 16384),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_rewrite WHERE oid >= 16384),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_policy),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_enum),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_namespace),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_extension),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_event_trigger),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_db_role_setting)
    ]
"""
"""Changes with whatever a test changes beyond rows."""

OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
DELETES = """
    SELECT array_agg('DELETE FROM ' || quote_ident(schemaname) || '.' || quote_ident(tablename)) FROM pg_tables
    WHERE schemaname IN ('public', 'crm_sync') AND tablename NOT IN ('alembic_version', 'domains', 'pages')
"""
OWNERS = """
    WITH domain AS (DELETE FROM domains WHERE id NOT IN (SELECT id FROM domains ORDER BY ctid LIMIT 1)),
         page AS (DELETE FROM pages WHERE id NOT IN (SELECT id FROM pages ORDER BY ctid LIMIT 1))
    SELECT EXISTS (SELECT FROM domains) AND EXISTS (SELECT FROM pages)
"""
"""What contacts belong to: one of each stays."""


class Worlds(AbstractContextManager["Worlds"]):
    """Lends out copies of one template. Who changed more than rows, or left somebody in it, costs a new copy."""

    def __init__(self, postgres: EmbeddedPostgres, template: str, name: str = "test_again") -> None:
        self._postgres = postgres
        self._template = template
        self._name = name
        self._numbers = itertools.count(1)
        self._free: _Lent | None = None

    @contextmanager
    def one(self) -> Iterator[World]:
        """A database as the template is, but for the values of sequences and what PostgreSQL knows of tables."""
        lent = self._free or self._new()
        self._free = None
        shared_look.cache_clear()  # else one of another test, a quarter of a second ago, answers for this one
        yield World(lent.url)
        if lent.is_as_new():
            self._free = lent
        else:
            self._drop(lent)

    def __exit__(self, _kind: type | None, _error: BaseException | None, _where: TracebackType | None) -> None:
        if self._free:
            self._drop(self._free)

    def _new(self) -> "_Lent":
        name = f"{self._name}_{next(self._numbers)}"
        made = World(self._postgres.create_database(name, self._template))
        return _Lent(name, made.url, made.engine, made.value(CATALOGUE))

    def _drop(self, lent: "_Lent") -> None:
        lent.engine.dispose()
        engine_for(lent.url).dispose()
        self._postgres.drop_database(lent.name)


@dataclass(frozen=True)
class _Lent:
    name: str
    url: str
    engine: sa.Engine
    catalogue: object

    def is_as_new(self) -> bool:
        """Whether it is, once its rows are deleted; not so for whoever is still in it."""
        pool = self.engine.pool
        assert isinstance(pool, sa.QueuePool)
        if engine_for(self.url) is not self.engine or pool.checkedout():
            return False
        try:
            with self.engine.begin() as connection:
                ask = connection.exec_driver_sql
                ask("SET LOCAL lock_timeout = '100ms'")
                ask("SET LOCAL session_replication_role = replica")  # no foreign key asks
                if ask(OTHERS).scalar_one() > pool.checkedin() or ask(CATALOGUE).scalar_one() != self.catalogue:
                    return False
                if ask("SELECT count(*) FROM contacts").scalar_one() > MAX_ROWS:
                    return False
                for delete in ask(DELETES).scalar_one():
                    ask(delete)
                return bool(ask(OWNERS).scalar_one())
        except sa.exc.DBAPIError:
            return False
