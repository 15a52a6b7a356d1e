"""The README's commands as real processes, with a real daemon and webserver."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World

CHECKOUT = Path(__file__).parents[2]
KEY = "xkeysib-4f1d0secret0never0to0be0seen"
PASSWORD = "database0password0never0to0be0seen"
ADDRESS = re.compile(rb"[\w.+-]+@(?:[\w-]+\.)+[a-z]{2,}")
READY_SECONDS = 90
MARK = "CRM_SYNC_TEST_MARK"


@pytest.mark.timeout(180)
def test_the_demo_delivers_shows_what_became_of_them_and_leaves_nothing(tmp_path: Path) -> None:
    mark = str(uuid4())
    done = subprocess.run(
        [sys.executable, "-m", "crm_sync_pipeline.cli", "demo"],
        cwd=tmp_path,
        # The demo must not reach a real account, whatever the user's environment says.
        env={**os.environ, "BREVO_API_KEY": KEY, "BREVO_API_BASE_URL": "http://127.0.0.1:9/v3", MARK: mark},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Loaded 300 contacts. Selected 300 contacts for 1 CRM(s), 300 queued for processing." in done.stdout
    for expected in (
        r"Complete\s+296",
        r"Queued, waiting for a retry\s+4",
        r"2\s+invalid_email\s+Brevo API error \(400\): Invalid email",
        r"1\s+no_email\s+Contact has no email address",
        r"1\s+sms_in_use\s+Brevo API error \(400\): Unable to create contact, SMS is already",
        r"holds 295 contacts; it was sent 299 requests",
        r"296 contacts delivered in [\d.]+ s: \d+ contacts/s",
        r"\./run dev",
    ):
        assert re.search(expected, done.stdout), (expected, done.stdout)
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == [], "nothing is left in the tree"
    _until(lambda: not _marked(mark), 5, "nothing is left running")


@pytest.mark.timeout(300)
def test_dev_delivers_by_sensor_keeps_secrets_and_stops_at_once(
    world: World, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """One long test, because Dagster needs ten seconds to come up."""
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    simulator = BrevoSimulator(BrevoConfig(api_keys=frozenset({KEY}), limits=PLANS["unlimited"]))
    instance_url = postgres.create_database("dagster_of_dev")
    with running(simulator.app) as brevo:
        environment = {
            **os.environ,
            "DATABASE_URL": world.url.replace("postgres@", f"postgres:{PASSWORD}@"),
            "BREVO_API_KEY": KEY,
            "BREVO_API_BASE_URL": f"{brevo.base_url}/v3",
            "BREVO_REQUESTS_PER_SECOND": "50",
            "CRM_SYNC_DAGSTER_DB_URL": instance_url,
        }
        with _dev(tmp_path, environment) as dev:
            contacts = world.add(*(f"person{number}@example.com" for number in range(40)), name="Ada")
            refused = world.add("invalid-address")
            _until(lambda: world.status(contacts[0])[1] == "Complete", 40, "the sensor starts a run")
            _until(lambda: world.status(refused[0]) == ("Queued", "Queued"), 20, "and the refused one waits")
            assert {world.status(contact) for contact in contacts} == {("Complete", "Complete")}

            slow = world.add(*(f"slow{number}@example.com" for number in range(200)), selected=False)
            simulator.inject("latency=700")
            world.select(*slow)
            _until(lambda: world.rows("SELECT 1 FROM crm_sync.attempts OFFSET 45"), 40, "a long run is under way")
            stopped_in = _interrupt(dev)
        # Five seconds are the promise; these tests keep both cores busy with other things.
        assert stopped_in < 8, "Ctrl-C stops everything within five seconds"
        states = {world.status(contact) for contact in slow}
        assert states == {("Complete", "Complete"), ("Queued", "Queued")}, "the interrupted run gave back what it held"
        assert world.value("SELECT count(*) FROM crm_sync.deliveries WHERE claim_token IS NOT NULL") == 0

    seen = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    dumped = _dump(World(instance_url))
    assert Path("dev.log") in seen
    assert b"batch_recorded" in dumped, "the dump shows what Dagster keeps"
    for where, content in {**seen, Path("Dagster's database"): dumped}.items():
        assert KEY.encode() not in content, f"the key is in {where}"
        assert PASSWORD.encode() not in content, f"the database's password is in {where}"
        assert ADDRESS.findall(content) == [], f"an e-mail address is in {where}"
    postgres.drop_database("dagster_of_dev")


@contextmanager
def _dev(folder: Path, environment: dict[str, str]) -> Iterator[psutil.Popen]:
    port = _free_port()
    with (folder / "dev.log").open("wb") as log:
        dev = psutil.Popen(
            [sys.executable, "-m", "crm_sync_pipeline.cli", "dev", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            ready = f"Dagster's UI: http://127.0.0.1:{port}"
            _until(lambda: ready in (folder / "dev.log").read_text(), READY_SECONDS, "the UI comes up")
            yield dev
        finally:
            for process in [*dev.children(recursive=True), dev] if dev.is_running() else []:
                process.kill()
            dev.wait()


def _interrupt(dev: psutil.Popen) -> float:
    """Press Ctrl-C; the seconds until the process and all it started are gone."""
    family = dev.children(recursive=True)
    started = time.monotonic()
    dev.send_signal(signal.SIGINT)
    assert dev.wait(timeout=30) == 0
    took = time.monotonic() - started
    assert [process for process in family if _is_alive(process)] == []
    return took


def _dump(world: World) -> bytes:
    """Every row of every table, as text."""
    tables = world.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [
        world.rows(f'SELECT t::text AS row FROM "{table["tablename"]}" t')  # a name from the catalogue
        for table in tables
    ]
    world.engine.dispose()
    return "\n".join(row["row"] for table in rows for row in table).encode()


def _until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds} s: {what}"
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _marked(mark: str) -> list[psutil.Process]:
    """The processes that inherited a mark in their environment, whoever started them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
