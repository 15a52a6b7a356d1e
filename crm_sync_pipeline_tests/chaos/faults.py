"""Doing to a trial what its plan says, and taking it back."""

import heapq
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from crm_sync_pipeline.simulators.faults import Fault
from crm_sync_pipeline_tests.chaos.crew import Crew
from crm_sync_pipeline_tests.chaos.evidence import Window
from crm_sync_pipeline_tests.chaos.plan import LEASE_SECONDS, Act, Plan
from crm_sync_pipeline_tests.chaos.proxy import Proxy
from crm_sync_pipeline_tests.chaos.site import Site
from crm_sync_pipeline_tests.chaos.time_passing import Clockwork
from crm_sync_pipeline_tests.chaos.watched import Watched

LONGEST_SLEEP_SECONDS = LEASE_SECONDS + 5.0

MANY = 4
"""Contacts of a batch that are yet to be journaled: some of them are in flight."""

HAZE_SECONDS = 0.7
"""How long after a fault of the database's side a worker may still feel it: it connects again, and tries again."""


class Faults:
    """Does the acts of a plan when their time has come. `done` counts by kind; `disturbed` as in Evidence."""

    def __init__(
        self,
        plan: Plan,
        site: Site,
        crew: Crew,
        clockwork: Clockwork,
        database: Proxy,
        vendor_proxy: Proxy,
        simulator: Watched,
        title: str,
    ) -> None:
        self.done: Counter[str] = Counter()
        self.disturbed: list[Window] = []
        self.killed_at: dict[str, float] = {}
        self._site, self._crew, self._database, self._simulator = site, crew, database, simulator
        self._vendor_proxy, self._clockwork, self._title = vendor_proxy, clockwork, title
        self._dice = random.Random(f"faults {plan.seed}")  # noqa: S311  # repeatable on purpose
        self._started_at = time.monotonic()
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        for act in plan.acts:
            self._later(act.at, self._doing(act))

    def do_what_is_due(self) -> None:
        """Do every act whose time has come."""
        while self._waiting and self._waiting[0][0] <= time.monotonic() - self._started_at:
            heapq.heappop(self._waiting)[2]()

    @property
    def are_over(self) -> bool:
        """Whether every act was done, and has ended."""
        return not self._waiting

    def heal(self) -> None:
        """End every fault, and do none any more."""
        self._waiting.clear()
        self._database.heal()
        self._vendor_proxy.heal(cut=True)
        self._simulator.calm()
        self._crew.calm()
        now = time.monotonic()
        self.disturbed = [(begin, min(end, now + HAZE_SECONDS)) for begin, end in self.disturbed]
        self.done["commit answer lost"] = self._database.done["commits_lost"]

    def _later(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._waiting, (at, next(self._numbers), act))

    def _doing(self, act: Act) -> Callable[[], None]:
        def do() -> None:
            self.done[self._name(act)] += 1
            getattr(self, f"_{act.kind}")(act)

        return do

    def _ends(self, act: Act, end: Callable[[], None]) -> None:
        self._later(act.at + act.seconds, end)

    def _disturbs(self, seconds: float) -> None:
        now = time.monotonic()
        self.disturbed.append((now, now + seconds + HAZE_SECONDS))

    def _kill(self, _: Act) -> None:
        worker = self._crew.pick(self._dice)
        if worker.send(signal.SIGKILL):
            self.killed_at[worker.name] = time.monotonic()

    def _interrupt(self, _: Act) -> None:
        self._crew.pick(self._dice).send(signal.SIGINT)

    def _stop(self, act: Act) -> None:
        worker = self._crew.pick(self._dice)
        if self._crew.stop(worker):
            self._ends(act, lambda: self._crew.wake(worker))

    def _stop_until_taken(self, act: Act) -> None:
        """Stop a worker amid its batch, and wake it when another one has taken over what it had claimed."""
        worker = self._crew.pick(self._dice)
        claimed = self._clockwork.claimed_amid_a_batch().get(worker.name, set())
        if len(claimed) < MANY or self._crew.has_sleepers() or not self._crew.stop(worker):
            if act.seconds > 0:  # it holds nothing now, or nobody would be awake to take it: soon again
                again = replace(act, at=act.at + 0.05, seconds=act.seconds - 0.05)
                self._later(again.at, lambda: self._stop_until_taken(again))
            return
        latest = time.monotonic() + LONGEST_SLEEP_SECONDS

        def look() -> None:
            others = [theirs for name, theirs in self._clockwork.claimed().items() if name != worker.name]
            if any(claimed & theirs for theirs in others) or time.monotonic() > latest:
                self._crew.wake(worker)
            else:
                self._later(time.monotonic() - self._started_at + 0.03, look)

        self._later(act.at, look)

    def _restart_fast(self, _: Act) -> None:
        self._disturbs(0)
        self._site.postgres.restart("fast")
        self._disturbs(0)

    def _restart_immediate(self, _: Act) -> None:
        self._disturbs(0)
        self._site.postgres.restart("immediate")
        self._disturbs(0)

    def _database_cut(self, _: Act) -> None:
        self._disturbs(0)
        self._database.cut()

    def _database_black_hole(self, act: Act) -> None:
        self._disturbs(act.seconds)
        self._database.black_hole()
        self._ends(act, lambda: self._database.release(cut=act.detail == "never"))

    def _database_delay(self, act: Act) -> None:
        self._disturbs(act.seconds)
        self._database.delay(self._dice.uniform(0.02, 0.15))
        self._ends(act, lambda: self._database.delay(0))

    def _commit_answer_lost(self, _: Act) -> None:
        self._disturbs(1)
        self._database.lose_commits()

    def _vendor_cut(self, _: Act) -> None:
        self._vendor_proxy.cut()

    def _vendor_black_hole(self, act: Act) -> None:
        self._vendor_proxy.black_hole()
        self._ends(act, lambda: self._vendor_proxy.release(cut=True))

    def _vendor_delay(self, act: Act) -> None:
        self._vendor_proxy.delay(self._dice.uniform(0.02, 0.3))
        self._ends(act, lambda: self._vendor_proxy.delay(0))

    def _vendor_fault(self, act: Act) -> None:
        self._simulator.inject(act.detail)

    def _name(self, act: Act) -> str:
        if act.kind == "vendor_fault":
            return f"{self._title} answers {Fault.parse(act.detail).kind}"
        return act.kind.replace("vendor", self._simulator.name).replace("_", " ")
