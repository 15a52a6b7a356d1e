"""Two sessions that go one statement at a time, in every order that can make a difference.

Each session is a thread with an engine of its own. It stops before each statement and before each COMMIT, until the
driver resumes it. A statement that waits for a lock is noticed (PostgreSQL says who blocks whom), and the other session
goes on.

Of orders that differ only in steps that cannot see each other, one is tried. Under READ COMMITTED a statement sees what
was committed before it, and is held up by rows that the other has locked; so two steps can be swapped unless both lock
rows of one table, or one of them is the COMMIT of what the other reads. (The method is known as sleep sets.)
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

NAMES = ("first", "second")
LIMIT_SECONDS = 20
_GLANCE_SECONDS = 0.002
_TABLES = re.compile(r"\b(?:crm_sync\.)?(contacts|deliveries|attempts|destinations)\b")
_LOCKS = re.compile(r"\b(?:FOR NO KEY UPDATE|FOR UPDATE|UPDATE|INSERT|DELETE)\b")

Operation = Callable[[sa.Engine], object]


@dataclass(frozen=True)
class Step:
    """One statement, or the COMMIT of what `locked` names. `locked`: the tables in which it locked or wrote rows."""

    session: int
    text: str
    read: frozenset[str]
    locked: frozenset[str]
    waited: bool = False

    @property
    def is_commit(self) -> bool:
        return self.text == "COMMIT"

    def __str__(self) -> str:
        return f"{NAMES[self.session]}: {' '.join(self.text.split())[:60]}{' (waited)' if self.waited else ''}"

    def commutes_with(self, other: "Step") -> bool:
        """Whether it makes no difference which of the two comes first."""
        if self.waited or other.waited:
            return False
        if self.is_commit or other.is_commit:
            if self.is_commit and other.is_commit:
                return True
            commit, statement = (self, other) if self.is_commit else (other, self)
            return not commit.locked & statement.read
        return not self.locked & other.locked


@dataclass
class Order:
    """One order that was tried: its steps, and what the two operations returned or raised.

    `refused` are the SQLSTATEs of what PostgreSQL refused on the way, such as that of a deadlock.
    """

    steps: list[Step] = field(default_factory=list)
    returned: list[object] = field(default_factory=lambda: [None, None])
    raised: list[BaseException | None] = field(default_factory=lambda: [None, None])
    refused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return " | ".join(map(str, self.steps))


class _Session:
    def __init__(self, number: int, url: sa.URL, turn: threading.Condition) -> None:
        self.number = number
        self.backend = 0
        self.state = "done"
        self.is_free = False
        self.waits = False
        self.let_others_in = False
        self.awaits: Step | None = None
        self.order = Order()
        self.engine = sa.create_engine(
            url, pool_size=1, max_overflow=0, connect_args={"application_name": NAMES[number]}
        )
        self.thread = ThreadPoolExecutor(1, NAMES[number])
        self._turn = turn
        self._may_go = False
        self._rows = 0
        self.holds: frozenset[str] = frozenset()
        sa.event.listen(self.engine, "connect", self._connected)
        sa.event.listen(self.engine, "before_cursor_execute", self._before)
        sa.event.listen(self.engine, "after_cursor_execute", self._after)
        sa.event.listen(self.engine, "commit", self._before_commit)
        sa.event.listen(self.engine, "rollback", self._rolled_back)
        sa.event.listen(self.engine, "handle_error", self._refused)

    def _connected(self, connection: Any, _record: object) -> None:
        self.backend = connection.info.backend_pid

    def _before(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "SAVEPOINT" in statement:
            return  # nobody else can see it
        tables = frozenset(_TABLES.findall(statement))
        locked = tables if _LOCKS.search(statement) else frozenset[str]()
        self._pause(Step(self.number, statement, tables, locked))

    def _after(self, _connection: object, cursor: Any, *_: object) -> None:
        self._rows = cursor.rowcount

    def _before_commit(self, _connection: object) -> None:
        self._pause(Step(self.number, "COMMIT", frozenset(), frozenset()))

    def _refused(self, context: sa.engine.ExceptionContext) -> None:
        self.order.refused.append(getattr(context.original_exception, "sqlstate", None) or "")

    def _rolled_back(self, _connection: object) -> None:
        self.let_others_in = True

    def _pause(self, step: Step) -> None:
        with self._turn:
            self.state, self.awaits = "paused", step
            self._turn.notify_all()
            if not self._turn.wait_for(lambda: self._may_go or self.is_free, LIMIT_SECONDS):
                raise TimeoutError("nobody let this session go on")
            self.state, self._may_go = "running", False

    def start(self, operation: Operation, order: Order) -> "Future[None]":
        self.state, self.is_free, self._may_go, self.holds = "running", False, False, frozenset()
        self.waits = self.let_others_in = False
        self.order = order

        def work() -> None:
            try:
                order.returned[self.number] = operation(self.engine)
            except BaseException as error:
                order.raised[self.number] = error
            finally:
                with self._turn:
                    self.state = "done"
                    self._turn.notify_all()

        return self.thread.submit(work)

    def resume(self) -> None:
        with self._turn:
            self._may_go, self.state = True, "running"
            self._rows = 1  # until it is known better: a statement that fails counts as one that locked
            self._turn.notify_all()

    def set_free(self) -> None:
        with self._turn:
            self.is_free = True
            self._turn.notify_all()

    def done_step(self, step: Step, waited: bool, other_holds: frozenset[str]) -> Step:
        """The step with what is known of it now that it is done: a statement that found no row locked none.

        Unless it skipped what the other session has locked.
        """
        if step.is_commit:
            done, self.holds = replace(step, locked=self.holds), frozenset()
            return done
        may_have_skipped = "SKIP LOCKED" in step.text and other_holds
        locked_nothing = not (self._rows or waited or may_have_skipped)
        locked = frozenset[str]() if locked_nothing else step.locked
        self.holds |= locked
        return replace(step, locked=locked, waited=waited)


class Interleaving:
    """Two sessions on one database, driven."""

    def __init__(self, url: sa.URL) -> None:
        self._turn = threading.Condition()
        self._sessions = [_Session(number, url, self._turn) for number in (0, 1)]
        self._watch = sa.create_engine(url, pool_size=1, isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        for session in self._sessions:
            session.thread.shutdown()
            session.engine.dispose()
        self._watch.dispose()

    def orders(
        self, prepare: Callable[[], None], operations: Sequence[Operation], *, all_of_them: bool = False
    ) -> Iterator[Order]:
        """Every order of the steps of two operations that can make a difference; each starts from `prepare`.

        With `all_of_them` also those that can't.
        """
        todo: list[tuple[tuple[int, ...], dict[int, Step]]] = [((), {})]
        is_symmetric = operations[0] is operations[1] and not all_of_them
        while todo:
            prefix, asleep = todo.pop()
            prepare()
            order = Order()
            with self._in_progress(operations, order):
                is_new = self._drive(order, prefix, {} if all_of_them else asleep, todo, not all_of_them)
            if is_symmetric and not prefix:
                todo = [(later, tried) for later, tried in todo if later != (1,)]
            if is_new:
                yield order

    @contextmanager
    def _in_progress(self, operations: Sequence[Operation], order: Order) -> Iterator[None]:
        running = [session.start(work, order) for session, work in zip(self._sessions, operations, strict=True)]
        try:
            yield
        finally:
            for session in self._sessions:
                session.set_free()
            for each in running:
                each.result(LIMIT_SECONDS)

    def _drive(
        self,
        order: Order,
        prefix: tuple[int, ...],
        asleep: dict[int, Step],
        todo: list[tuple[tuple[int, ...], dict[int, Step]]],
        may_sleep: bool,
    ) -> bool:
        """Try one order: `prefix`, then whatever comes; False where that was tried before, with steps swapped.

        What else could have come next is put on `todo`. `asleep`: whose next step was tried already at this point.
        """
        taken: tuple[int, ...] = ()
        while able := self._able():
            if len(taken) < len(prefix) and prefix[len(taken)] in able:
                choice = prefix[len(taken)]
            else:
                awake = [number for number in able if number not in asleep]
                if not awake:
                    return False
                choice, *others = awake
            before, sleeping = taken, asleep
            step = self._go(choice)
            order.steps.append(step)
            taken += (choice,)
            if len(taken) > len(prefix):
                todo += [((*before, other), {**sleeping, choice: step}) for other in others]
            if len(taken) >= len(prefix):
                asleep = {
                    number: tried
                    for number, tried in sleeping.items()
                    if may_sleep and number != choice and tried.commutes_with(step)
                }
        return True

    def _able(self) -> list[int]:
        """The sessions that stand before a step, once each stands before one, is done, or waits for a lock."""
        self._settle()
        with self._turn:  # after a deadlock, until PostgreSQL has ended it
            moved = self._turn.wait_for(
                lambda: (
                    any(s.state == "paused" for s in self._sessions) or all(s.state == "done" for s in self._sessions)
                ),
                LIMIT_SECONDS,
            )
        assert moved, "both wait, and PostgreSQL saw no deadlock"
        return [session.number for session in self._sessions if session.state == "paused"]

    def _go(self, number: int) -> Step:
        session, other = self._sessions[number], self._sessions[1 - number]
        step = session.awaits
        assert step is not None
        session.resume()
        self._settle()
        if step.is_commit or session.let_others_in:
            session.let_others_in = other.waits = False
            self._settle()
        return session.done_step(step, session.waits, other.holds)

    def _settle(self) -> None:
        """Wait until each session stands before a step, is done, or waits for a lock."""
        for session in self._sessions:
            if not session.waits or session.state != "running":
                session.waits = self._is_waiting(session)

    def _is_waiting(self, session: _Session) -> bool:
        for _ in range(int(LIMIT_SECONDS / _GLANCE_SECONDS)):
            with self._turn:
                if self._turn.wait_for(lambda: session.state != "running", _GLANCE_SECONDS):
                    return False
            with self._watch.connect() as connection:
                blockers = connection.exec_driver_sql("SELECT pg_blocking_pids(%s)", (session.backend,)).scalar_one()
            if blockers:
                return True
        raise TimeoutError(f"the {NAMES[session.number]} session neither stops nor waits")
