import gc
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from starlette.types import ASGIApp, Receive, Scope, Send

from crm_sync_pipeline.contact_queue.database.engine import _engine_for, engine_for
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.orchestration import sensors
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres, temporary
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator, running
from crm_sync_pipeline_tests.builders import BREVO_ONLY_TABLE, USERS_TABLE, World
from crm_sync_pipeline_tests.product import SETTINGS, Product
from crm_sync_pipeline_tests.vendors import VENDORS, Vendor
from crm_sync_pipeline_tests.worlds import Worlds


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """What a developer has set for other things than this product."""
    return {name: value for name, value in environment.items() if not name.startswith(SETTINGS)}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A developer's own environment and .env file decide nothing here."""
    for name in os.environ.keys() - without_settings(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with one of the modules that start a whole Dagster, so that none comes last.

    pytest-xdist gives each worker a stretch of the list, and those who have done theirs steal from the ends of others.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("whole_dagster")]
    modules = list(dict.fromkeys(item.path for item in long))
    rest = [item for item in items if item not in long]
    stretch = len(items) / workers
    for number, module in enumerate(modules):
        at = round(number % workers * stretch)
        rest[at:at] = [item for item in long if item.path == module]
    items[:] = rest


def pytest_collection_finish() -> None:
    """What was imported stays: looking through it again and again for garbage takes a fifteenth of all CPU time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _migrations_are_read_once() -> Iterator[None]:
    """Dagster reads all files of its own migrations for each database that it makes or opens: 0.2 s for each test."""
    read = ScriptDirectory.from_config
    known: dict[str | None, ScriptDirectory] = {}

    def read_once(config: Config) -> ScriptDirectory:
        location = config.get_main_option("script_location")
        return known.get(location) or known.setdefault(location, read(config))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", read_once)
        yield


def memory() -> Path | None:
    """A folder in memory, where there is one with room: making a database for each test keeps a disk busy."""
    shared_memory = Path("/dev/shm")  # noqa: S108 # folders of our own are made in it
    if os.access(shared_memory, os.W_OK) and shutil.disk_usage(shared_memory).free > 4 * 2**30:
        return shared_memory
    return None


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    with temporary(folder=memory()) as server:
        yield server


@pytest.fixture(scope="session")
def _templates(postgres: EmbeddedPostgres) -> dict[str, str]:
    """Databases that are made once and copied for each test."""
    for name, script in {"users": USERS_TABLE, "brevo_only": BREVO_ONLY_TABLE, "created": ""}.items():
        table = "app.people" if name == "brevo_only" else "contacts"
        world = World(postgres.create_database(f"template_{name}"), table)
        if script:
            world.script(script)
        world.upgrade()
        world.engine.dispose()
        _engine_for.cache_clear()
    return {"users": "template_users", "brevo_only": "template_brevo_only", "created": "template_created"}


_numbers = itertools.count(1)


def _copy(postgres: EmbeddedPostgres, template: str | None, table: str = "contacts") -> Iterator[World]:
    name = f"test_{next(_numbers)}"
    world = World(postgres.create_database(name, template=template), table)
    yield world
    engine_for(world.url).dispose()
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def _worlds(postgres: EmbeddedPostgres, _templates: dict[str, str]) -> Iterator[Worlds]:
    with Worlds(postgres, _templates["users"]) as worlds:
        yield worlds


@pytest.fixture
def world(_worlds: Worlds) -> Iterator[World]:
    """A user's own contacts table, with native enums, upgraded; with no rows in it."""
    with _worlds.one() as world:
        yield world


@pytest.fixture
def fresh(postgres: EmbeddedPostgres, _templates: dict[str, str]) -> Iterator[World]:
    """The same in a database that no other test has used."""
    yield from _copy(postgres, _templates["users"])


@pytest.fixture(scope="module")
def module_world(postgres: EmbeddedPostgres, _templates: dict[str, str]) -> Iterator[World]:
    """The same, shared by the tests of one module, which fill it once or empty it between examples."""
    yield from _copy(postgres, _templates["users"])


@pytest.fixture
def brevo_only(postgres: EmbeddedPostgres, _templates: dict[str, str]) -> Iterator[World]:
    """`app.people` with text statuses and Brevo's columns alone, upgraded."""
    yield from _copy(postgres, _templates["brevo_only"], "app.people")


@pytest.fixture
def created(postgres: EmbeddedPostgres, _templates: dict[str, str]) -> Iterator[World]:
    """The contacts table that `db upgrade` makes where there is none."""
    yield from _copy(postgres, _templates["created"])


@pytest.fixture
def empty(postgres: EmbeddedPostgres) -> Iterator[World]:
    """A database with nothing in it."""
    yield from _copy(postgres, None)


@pytest.fixture
def simulator() -> BrevoSimulator:
    return BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"]))


class Switchboard:
    """One address for all tests of a worker; `app` is who answers now."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def _switchboard() -> Iterator[tuple[Switchboard, RunningSimulator]]:
    switchboard = Switchboard()
    with running(switchboard) as server:
        yield switchboard, server


@pytest.fixture
def brevo_server(_switchboard: tuple[Switchboard, RunningSimulator], simulator: BrevoSimulator) -> RunningSimulator:
    switchboard, server = _switchboard
    switchboard.app = simulator.app
    return server


@pytest.fixture
def brevo(brevo_server: RunningSimulator) -> Brevo:
    """Our own client, pointed at the simulator; as fast as it will go."""
    return Brevo(base_url=f"{brevo_server.base_url}/v3", api_key="xkeysib-simulator", requests_per_second=1000)


@pytest.fixture(scope="session")
def instance_on_disk() -> Iterator[dg.DagsterInstance]:
    """Dagster's history in SQLite files, in shared memory where there is some: each event is synced to disk."""
    with tempfile.TemporaryDirectory(dir=memory()) as home, dg.instance_for_test(temp_dir=home) as instance:
        yield instance


@pytest.fixture(scope="session")
def _instance_in_memory() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def product(
    monkeypatch: pytest.MonkeyPatch,
    world: World,
    simulator: BrevoSimulator,
    brevo_server: RunningSimulator,
    _instance_in_memory: dg.DagsterInstance,
    instance_on_disk: dg.DagsterInstance,
) -> Iterator[Product]:
    """The product as its users meet it: settings in the environment, Dagster around it, the simulator as Brevo."""
    monkeypatch.setattr(sensors, "LOOKS_FOR", timedelta(0))
    made = Product(monkeypatch, world, simulator, _instance_in_memory, instance_on_disk)
    made.set(
        DATABASE_URL=world.url,
        BREVO_API_KEY=DEFAULT_KEY,
        BREVO_API_BASE_URL=f"{brevo_server.base_url}/v3",
        BREVO_REQUESTS_PER_SECOND="1000",
    )
    yield made
    _instance_in_memory.wipe()


@pytest.fixture(params=list(VENDORS))
def vendor(request: pytest.FixtureRequest) -> Vendor:
    """Each CRM in turn."""
    return VENDORS[request.param]


@pytest.fixture
def each(
    vendor: Vendor,
    monkeypatch: pytest.MonkeyPatch,
    world: World,
    _switchboard: tuple[Switchboard, RunningSimulator],
    _instance_in_memory: dg.DagsterInstance,
    instance_on_disk: dg.DagsterInstance,
) -> Iterator[Product]:
    """The product with the settings of one CRM alone, as `product` is with Brevo's."""
    monkeypatch.setattr(sensors, "LOOKS_FOR", timedelta(0))
    switchboard, server = _switchboard
    simulator: Any = vendor.simulator()
    switchboard.app = simulator.app
    made = Product(monkeypatch, world, simulator, _instance_in_memory, instance_on_disk, vendor.name)
    made.set(DATABASE_URL=world.url, **vendor.settings_at(server.base_url))
    yield made
    _instance_in_memory.wipe()
