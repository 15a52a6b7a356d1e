"""The workers of a trial: started, killed, stopped, woken, and replaced when they die."""

import multiprocessing
import os
import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType

from crm_sync_pipeline_tests.chaos.worker import Orders, work

_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload([work.__module__])

_START_SECONDS = 60


def warm_up() -> None:
    """Let the server that workers are forked from import everything: the first worker would wait for it."""
    first = _START.Process(target=int)
    first.start()
    first.join(_START_SECONDS)


LONGEST_GOODBYE_SECONDS = 20.0
"""A worker may be in a call, in a transaction that is tried again, or waiting for a connection; not longer."""


@dataclass(eq=False)
class Worker:
    """One process, and what was done to it. Times are monotonic; `stopped` has pairs of SIGSTOP and SIGCONT."""

    name: str
    orders: Orders
    process: BaseProcess
    control: Connection
    is_stopped: bool = False
    stopped: list[tuple[float, float]] = field(default_factory=list)
    ended_at: float | None = None

    def send(self, what: signal.Signals) -> bool:
        """Send a signal; False where the process is gone."""
        if self.process.pid is None or not self.process.is_alive():
            return False
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, what)
            return True
        return False


class Crew:
    """Keeps as many workers alive as there are orders; each one that dies is replaced at once, under a new name."""

    def __init__(self, orders: list[Orders]) -> None:
        self.all: list[Worker] = []
        self.hung: list[str] = []
        self._orders = orders
        self._at_work: dict[int, Worker] = {}
        self._lock = threading.RLock()
        self._is_closing = False
        self._keeper = threading.Thread(target=self._replace_the_dead, name="crew", daemon=True)

    def __enter__(self) -> "Crew":
        for number in range(len(self._orders)):
            self._start(number)
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.dismiss()

    def pick(self, dice: random.Random) -> Worker:
        """Choose one that is at work, and not stopped if there is such a one."""
        with self._lock:
            workers = [self._at_work[number] for number in sorted(self._at_work)]
            awake = [worker for worker in workers if not worker.is_stopped]
            return dice.choice(awake or workers)

    def has_sleepers(self) -> bool:
        """Whether any worker is stopped now."""
        with self._lock:
            return any(worker.is_stopped for worker in self._at_work.values())

    def calm(self) -> None:
        """No worker kills itself from now on, whether it is at work already or starts later; all are awake."""
        with self._lock:
            self._orders = [replace(orders, odds={}) for orders in self._orders]
            for worker in self._at_work.values():
                self.wake(worker)
                with suppress(OSError):
                    worker.control.send("calm")

    def stop(self, worker: Worker) -> bool:
        """SIGSTOP."""
        with self._lock:
            if worker.is_stopped or not worker.send(signal.SIGSTOP):
                return False
            worker.is_stopped = True
            worker.stopped.append((time.monotonic(), float("inf")))
            return True

    def wake(self, worker: Worker) -> None:
        """SIGCONT."""
        with self._lock:
            if worker.is_stopped:
                worker.stopped[-1] = (worker.stopped[-1][0], time.monotonic())
                worker.is_stopped = False
                worker.send(signal.SIGCONT)

    def dismiss(self) -> None:
        """Tell all to stop, and wait; one that does not end is asked for its stacks, noted as hung, and killed."""
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
            workers = list(self._at_work.values())
        for worker in workers:
            self.wake(worker)
            with suppress(OSError):
                worker.control.send("stop")
        deadline = time.monotonic() + LONGEST_GOODBYE_SECONDS
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                self._end_hung(worker)
            worker.ended_at = time.monotonic()
        self._keeper.join(5)
        for worker in self.all:
            worker.control.close()
            worker.process.close()

    def _end_hung(self, worker: Worker) -> None:
        worker.send(signal.SIGUSR1)
        time.sleep(0.3)
        worker.process.kill()
        worker.process.join()
        self.hung.append(f"{worker.name}: {worker.orders.stacks.read_text()[-2000:]}")

    def _start(self, number: int) -> None:
        lives = sum(worker.name.startswith(f"{number}.") for worker in self.all)
        orders = self._orders[number]
        orders = replace(orders, name=f"{number}.{lives + 1}")
        ours, theirs = _START.Pipe()
        process = _START.Process(target=work, args=(orders, theirs), name=orders.name)
        process.start()
        theirs.close()
        worker = Worker(orders.name, orders, process, ours)
        self.all.append(worker)
        self._at_work[number] = worker

    def _replace_the_dead(self) -> None:
        while not self._is_closing:
            with self._lock:
                sentinels = {worker.process.sentinel: number for number, worker in self._at_work.items()}
            dead = wait(list(sentinels), timeout=0.05)
            with self._lock:
                if self._is_closing:
                    return
                for sentinel in dead:
                    number = sentinels[sentinel]  # type: ignore[index] # they are the file descriptors given
                    self._at_work[number].ended_at = time.monotonic()
                    self._start(number)
