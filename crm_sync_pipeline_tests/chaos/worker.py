"""A worker's process: claim, deliver, settle with the product's own code, until it is told to stop or dies.

It is forked from a server that has imported everything, so that a new one is there in milliseconds. It has no
watchdog: one that hangs for ever is a finding.
"""

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from crm_sync_pipeline.contact_queue.bulk import imports
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.delivery import importer
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.destinations.client import client_for  # noqa: F401 # here, or each worker imports it for itself
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline_tests.chaos.ablations import ABLATIONS
from crm_sync_pipeline_tests.chaos.audit import as_actor
from crm_sync_pipeline_tests.chaos.points import Points
from crm_sync_pipeline_tests.chaos.trace import Trace
from crm_sync_pipeline_tests.chaos.vendors.registry import VENDORS
from crm_sync_pipeline_tests.chaos.wrapping import wrap_everything

IDLE_SECONDS = 0.05
CALL_SECONDS = 0.4
"""The time limit of one call: a short one, so that leases can be short."""


@dataclass(frozen=True)
class Orders:
    """What a worker is to do. `folder` takes its trace, and its stacks when it is asked for them with SIGUSR1.

    `destination` is a name in the registry of vendors, whose server is at `server_url`.
    """

    name: str
    seed: int
    database_url: str
    destination: str
    server_url: str
    folder: Path
    lease_seconds: int
    batch_size: int
    requests_per_second: float
    odds: Mapping[str, float]
    clock_moved_seconds: float = 0.0
    imports: bool = False
    ablation: str | None = None

    @property
    def stacks(self) -> Path:
        """Where its stacks go."""
        return self.folder / f"stacks-{self.name}"


def work(orders: Orders, control: Connection) -> None:
    """Live as a worker."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.disable()
    os.environ["SSL_CERT_DIR"] = str(orders.folder)  # no certificates: loading them takes most of a short run's time
    with orders.stacks.open("w") as stacks:
        faulthandler.register(signal.SIGUSR1, stacks)
        if orders.clock_moved_seconds:
            _move_clock(orders.clock_moved_seconds)
        trace = Trace(orders.folder / "trace", orders.name)
        points = Points(trace, f"{orders.seed}/{orders.name}", orders.odds)
        told_to_stop = _listen_to(control, points)
        if orders.ablation:
            {**ABLATIONS, **VENDORS[orders.destination].ablations}[orders.ablation]()
        wrap_everything(trace, points)
        _make_imports_short()
        try:
            _run_until(told_to_stop, orders, trace)
        except KeyboardInterrupt:
            trace.note("interrupted")
        os._exit(0)  # as after a kill, nobody waits for the pool's connections


def _run_until(told_to_stop: Callable[[], bool], orders: Orders, trace: Trace) -> None:
    database = Database(url=as_actor(orders.database_url, orders.name), lease_seconds=orders.lease_seconds, crms=CRMS)
    destination = VENDORS[orders.destination].connect(
        orders.server_url,
        timeout_seconds=CALL_SECONDS,
        requests_per_second=orders.requests_per_second,
        imports=orders.imports,
    )
    while not told_to_stop():
        try:
            _one_run(database, destination, orders)
        except CrmSyncError as error:
            trace.note("failed", message=str(error))
            time.sleep(IDLE_SECONDS)
        except Exception as error:
            where = [
                f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
            ]
            trace.note("raised", kind=type(error).__name__, message=f"{str(error)[:300]} at {' > '.join(where[-12:])}")
            time.sleep(IDLE_SECONDS)


def _one_run(database: Database, destination: HttpDestination, orders: Orders) -> None:
    """What the three ops do, one after another."""
    queue = database.queue(destination.name)
    batch = queue.claim(orders.batch_size, run_id=orders.name, adopts_imports=True)
    if not batch.size:
        time.sleep(IDLE_SECONDS)
        return
    try:
        deliver_batch(queue, destination, batch, orders.name)
    except BaseException:
        queue.settle(batch.token)
        raise
    queue.settle(batch.token)


def _make_imports_short() -> None:
    """What is waited for takes a third of a second here, and an import of a few is journaled in parts."""
    setattr(importer, "SHORTEST_WAIT_SECONDS", 0.1)  # noqa: B010 # mypy takes an assignment for a mistake
    setattr(importer, "SEARCH_AFTER_SECONDS", (0.1, 0.3))  # noqa: B010
    setattr(imports, "JOURNALED_AT_ONCE", 5)  # noqa: B010


def _listen_to(control: Connection, points: Points) -> Callable[[], bool]:
    """Whether to stop, once told so; "calm" ends all kills. When the other end is gone, so is this process."""
    stop = threading.Event()

    def listen() -> None:
        try:
            while word := control.recv():
                points.calm() if word == "calm" else stop.set()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    return stop.is_set


def _move_clock(seconds: float) -> None:
    """Let this process believe in another time of day; the monotonic clock runs on."""
    true_time = time.time

    class MovedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=seconds)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(timezone.utc).replace(tzinfo=None)

    setattr(time, "time", lambda: true_time() + seconds)  # noqa: B010 # mypy takes an assignment for a mistake
    for module in [module for name, module in sys.modules.items() if name.startswith("crm_sync_pipeline.")]:
        if getattr(module, "datetime", None) is datetime:
            setattr(module, "datetime", MovedDatetime)  # noqa: B010
