"""What is done to an installation of Dagster while it delivers, drawn from a seed."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline_tests.chaos.dagster_services import DagsterServices, ServicesError, until
from crm_sync_pipeline_tests.chaos.dagster_watching import name_of
from crm_sync_pipeline_tests.chaos.evidence import Window
from crm_sync_pipeline_tests.chaos.proxy import Proxy
from crm_sync_pipeline_tests.chaos.trace import read_trace
from crm_sync_pipeline_tests.chaos.watched import Watched

LONGEST_HOLE_SECONDS = 6.0
HAZE_SECONDS = 3.0
"""How long after a fault of the database's side a worker may still feel it: it connects again, and tries again."""

WORKER_WAIT_SECONDS = 120
IN_THE_MIDDLE = 0.8
"""How often a kill has to hit a worker that holds a claim: it takes a run longer to start than to deliver."""

PAUSES = (0.2, 2.2)
"""Between two acts, in seconds."""

KILLS: Mapping[str, float] = {
    "kill worker": 16,
    "kill worker and code server": 2,
    "kill code server": 1,
    "kill daemon": 1,
}
CUTS: Mapping[str, float] = {
    "database cut": 3,
    "database black hole": 3,
    "vendor cut": 2,
    "vendor black hole": 2,
}
VENDOR_FAULTS = (
    "reset-after-write:times=2",
    "reset-before-write:times=2",
    "hang:times=1",
    "status-429:times=2:reset=1",
    "status-503:times=3",
    "status-500-empty:times=2",
    "status-524-html:times=1",
    "garbage-201:times=1",
    "slow-body=1000:times=2",
)


@dataclass(frozen=True)
class Plan:
    """What one episode goes through.

    `kill_share` of the runs that hold a claim are killed: if it were all of them, every contact would be lost four
    times in a row. `storage_is_behind_proxy`: Dagster's own database suffers what ours does.
    """

    seed: int
    kills: int
    restarts: int
    cuts: int
    kill_share: float
    storage_is_behind_proxy: bool
    has_killer: bool


class DagsterFaults:
    """Does what a plan says, and `meanwhile` all the time.

    `done` counts by kind; `killed_at` names workers; `disturbed` as in Evidence.
    """

    def __init__(
        self,
        plan: Plan,
        services: DagsterServices,
        postgres: EmbeddedPostgres,
        database: Proxy,
        vendor_proxy: Proxy,
        simulator: Watched,
        trace: Path,
        meanwhile: Callable[[], None],
    ) -> None:
        self.done: Counter[str] = Counter()
        self.disturbed: list[Window] = []
        self.killed_at: dict[str, float] = {}
        self._plan, self._services, self._postgres = plan, services, postgres
        self._database, self._vendor_proxy, self._simulator = database, vendor_proxy, simulator
        self._trace, self._meanwhile = trace, meanwhile
        self._spared: set[str] = set()
        self._dice = random.Random(f"dagster {plan.seed}")  # noqa: S311  # repeatable on purpose

    def do_all(self) -> None:
        """Every act of the plan, each after a pause; with every third a vendor fault, and a COMMIT without answer."""
        for number, act in enumerate(self._acts()):
            self._pause(self._dice.uniform(*PAUSES))
            if number % 3 == 0:
                fault = self._dice.choice(VENDOR_FAULTS)
                self._simulator.inject(fault)
                self._disturbs()
                self._database.lose_commits()
                self.done[f"{self._simulator.name} {fault.partition('=')[0].partition(':')[0]}"] += 1
            getattr(self, f"_{act.replace(' ', '_')}")()
            self.done[act.replace("vendor", self._simulator.name)] += 1

    def _acts(self) -> Sequence[str]:
        acts = self._dice.choices(list(KILLS), weights=list(KILLS.values()), k=self._plan.kills)
        acts += self._dice.choices(list(CUTS), weights=list(CUTS.values()), k=self._plan.cuts)
        acts += [("restart fast", "restart immediate")[(self._plan.seed + n) % 2] for n in range(self._plan.restarts)]
        self._dice.shuffle(acts)
        return acts

    def heal(self) -> None:
        """End every fault, and see that all services are up."""
        self._database.heal()
        self._vendor_proxy.heal(cut=True)
        self._simulator.calm()
        self.done["commit answer lost"] = self._database.done["commits_lost"]

    def _pause(self, seconds: float) -> None:
        over_at = time.monotonic() + seconds
        self._until(lambda: time.monotonic() > over_at, seconds + 1, "a pause ends")

    def _until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        def is_so() -> bool:
            self._meanwhile()
            return bool(condition())

        until(is_so, seconds, what)

    def _disturbs(self) -> None:
        now = time.monotonic()
        self.disturbed.append((now, now + HAZE_SECONDS))

    def _kill_worker(self) -> None:
        in_the_middle = self._dice.random() < IN_THE_MIDDLE
        self._until(lambda: self._kill_one(in_the_middle), WORKER_WAIT_SECONDS, "there is a run worker to kill")

    def _kill_one(self, in_the_middle: bool) -> bool:
        workers = sorted(self._services.workers(), key=lambda worker: worker.pid)
        with suppress(psutil.NoSuchProcess):
            if in_the_middle:
                holding = self._in_the_middle() - self._spared
                workers = [worker for worker in workers if name_of(worker) in holding]
            if not workers:
                return False
            worker = self._dice.choice(workers)
            if in_the_middle and self._dice.random() > self._plan.kill_share:
                self._spared.add(name_of(worker))
                return False
            return self._kill(worker)
        return False

    def _in_the_middle(self) -> set[str]:
        """Who has claimed and not settled; the others start, or have nothing left but to end."""
        last = {event.worker: event.name for event in read_trace(self._trace)}
        return {worker for worker, name in last.items() if name not in ("settled", "recovered")}

    def _kill(self, worker: psutil.Process) -> bool:
        name = name_of(worker)
        worker.kill()
        self.killed_at[name] = time.monotonic()
        return True

    def _kill_worker_and_code_server(self) -> None:
        """At once, so that nobody is left to tell Dagster of the worker's end."""
        with suppress(ServicesError):
            self._until(self._services.workers, WORKER_WAIT_SECONDS, "there is a run worker to kill")
        self._services.kill_code_server()
        for worker in self._services.workers():
            with suppress(psutil.NoSuchProcess):
                self._kill(worker)
        self._services.start_code_server()

    def _kill_code_server(self) -> None:
        self._services.kill_code_server()
        self._services.start_code_server()

    def _kill_daemon(self) -> None:
        self._services.kill_daemon()
        self._services.start_daemon()

    def _restart_fast(self) -> None:
        self._disturbs()
        self._postgres.restart("fast")
        self._disturbs()

    def _restart_immediate(self) -> None:
        self._disturbs()
        self._postgres.restart("immediate")
        self._disturbs()

    def _database_cut(self) -> None:
        self._disturbs()
        self._database.cut()

    def _database_black_hole(self) -> None:
        self._disturbs()
        self._database.black_hole()
        time.sleep(self._dice.uniform(0.5, LONGEST_HOLE_SECONDS))
        self._database.release(cut=self._dice.random() < 0.5)
        self.disturbed[-1] = (self.disturbed[-1][0], time.monotonic() + HAZE_SECONDS)

    def _vendor_cut(self) -> None:
        self._vendor_proxy.cut()

    def _vendor_black_hole(self) -> None:
        self._vendor_proxy.black_hole()
        time.sleep(self._dice.uniform(0.5, LONGEST_HOLE_SECONDS))
        self._vendor_proxy.release(cut=True)
