"""Where trials take place: one embedded PostgreSQL, and a database for each trial."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres, temporary
from crm_sync_pipeline_tests.builders import USERS_TABLE, World
from crm_sync_pipeline_tests.chaos.audit import AUDIT, HARNESS, as_actor
from crm_sync_pipeline_tests.chaos.crew import warm_up
from crm_sync_pipeline_tests.chaos.proxy import UnixSocket

_TEMPLATE = "chaos_template"


class Site:
    """A PostgreSQL of one's own, which a trial may restart as it likes, and the template of its databases."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        template = World(postgres.create_database(_TEMPLATE))
        # The sandbox's throw-away server acknowledges what a crash would lose. A role's setting wins over the server's.
        template.script("ALTER ROLE postgres SET synchronous_commit = on")
        template.script(USERS_TABLE)
        template.upgrade()
        template.script(AUDIT)
        template.engine.dispose()

    @property
    def socket(self) -> UnixSocket:
        """The server's own socket, to put a proxy in front of."""
        query = sa.make_url(self.postgres.url).query
        return UnixSocket(f"{query['host']}/.s.PGSQL.{query['port']}")

    @contextmanager
    def database(self, name: str, lease_seconds: int) -> Iterator[World]:
        """A database with contacts table, our schema and the audit trigger; the harness is who uses it."""
        url = as_actor(self.postgres.create_database(name, template=_TEMPLATE), HARNESS)
        world = World(url, lease=timedelta(seconds=lease_seconds))
        try:
            yield world
        finally:
            world.engine.dispose()
            self.postgres.drop_database(name)


@contextmanager
def site() -> Iterator[Site]:
    """A site, in memory where there is room."""
    warm_up()
    with temporary(folder=_memory()) as postgres:
        yield Site(postgres)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for what one trial's processes write down."""
    with tempfile.TemporaryDirectory(prefix="crm-sync-chaos-", dir=_memory()) as name:
        yield Path(name)


def _memory() -> Path | None:
    shared_memory = Path("/dev/shm")  # noqa: S108 # folders of our own are made in it
    roomy = os.access(shared_memory, os.W_OK) and shutil.disk_usage(shared_memory).free > 2 * 2**30
    return shared_memory if roomy else None
