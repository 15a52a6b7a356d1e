"""One database serves many tests: none may find what another one left."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.worlds import MAX_ROWS, Worlds

TABLES = ("contacts", "domains", "pages", "crm_sync.deliveries", "crm_sync.attempts", "crm_sync.destinations")
_left: list[psycopg.Connection] = []


@pytest.fixture
def worlds(postgres: EmbeddedPostgres, _templates: dict[str, str]) -> Iterator[Worlds]:
    with Worlds(postgres, _templates["users"], name="test_worlds") as made:
        yield made


def test_rows_are_gone_and_the_database_stays(worlds: Worlds) -> None:
    with worlds.one() as world:
        before = {table: world.value(f"SELECT count(*) FROM {table}") for table in TABLES}
        world.add("anna@example.com", "anna@example.com")
        world.queue().claim(1)
        world.queue().breaker.open("key", "no key")
    with worlds.one() as again:
        assert again.url == world.url
        assert {table: again.value(f"SELECT count(*) FROM {table}") for table in TABLES} == before
        assert again.add("anna@example.com")


def _alter(world: World) -> None:
    world.execute("ALTER TABLE contacts ADD CONSTRAINT short CHECK (length(email) < 9)")


def _stay(world: World) -> None:
    _left.append(psycopg.connect(world.url))


def _hold(world: World) -> None:
    _stay(world)
    _left[-1].execute("LOCK TABLE contacts")


def _fill(world: World) -> None:
    world.add_many(MAX_ROWS + 1)


def _orphan(world: World) -> None:
    world.execute("DELETE FROM domains")


@pytest.mark.parametrize("mess", [_alter, _stay, _hold, _fill, _orphan], ids=lambda mess: mess.__name__)
def test_who_leaves_more_than_rows_costs_a_new_one(worlds: Worlds, mess: Callable[[World], None]) -> None:
    with worlds.one() as world:
        mess(world)
    with worlds.one() as another:
        assert another.url != world.url
        assert another.value("SELECT count(*) FROM contacts") == 0
    while _left:
        _left.pop().close()
