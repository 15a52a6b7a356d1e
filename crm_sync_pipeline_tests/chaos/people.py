"""People at work on the contacts, while workers deliver them: they select, unselect, edit, delete and import."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline_tests.builders import World

IMPORT = "UPDATE contacts SET source_url = :source, context = 'imported' WHERE id = ANY(:ids)"
PAUSES = (0.01, 0.09)
"""Between two acts, in seconds."""


class People:
    """A thread that does what people do, to the contacts that it is given. `done` counts it."""

    def __init__(
        self, world: World, crm: Crm, contacts: Sequence[UUID], seed: int, pauses: tuple[float, float] = PAUSES
    ) -> None:
        self.done: Counter[str] = Counter()
        self._world = world
        self._crm = crm
        self._contacts = list(contacts)
        self._pauses = pauses
        self._dice = random.Random(f"people {seed}")  # noqa: S311  # repeatable on purpose
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._live, name="people", daemon=True)
        self._acts: dict[Callable[[], None], float] = {
            self._select: 3,
            self._unselect: 2,
            self._requeue: 1,
            self._edit: 8,
            self._import: 3,
            self._delete: 0.5,
            self._change_sync_status_alone: 1,
        }

    def __enter__(self) -> "People":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Stop; harmless when repeated."""
        self._gone.set()
        self._thread.join(30)
        self._world.engine.dispose()

    def _live(self) -> None:
        while not self._gone.wait(self._dice.uniform(*self._pauses)) and self._contacts:
            (act,) = self._dice.choices(list(self._acts), weights=list(self._acts.values()))
            try:
                act()
            except (DatabaseError, sa.exc.DBAPIError):
                self.done["refused"] += 1  # what was committed all the same, the audit trigger knows
            else:
                self.done[act.__name__.strip("_")] += 1

    def _some(self, most: int) -> list[UUID]:
        return self._dice.sample(self._contacts, min(len(self._contacts), self._dice.randint(1, most)))

    def _select(self) -> None:
        self._world.select(*self._some(4), crms=[self._crm.name])

    def _unselect(self) -> None:
        self._world.unselect(*self._some(2), crms=[self._crm.name])

    def _requeue(self) -> None:
        self._world.act("requeue", self._some(10), crms=[self._crm.name])

    def _edit(self) -> None:
        for contact in self._some(2):
            last = self._dice.choice(["", f" {self._dice.randint(1, 10**6)}"])
            name = f"{self._dice.choice(['Ann', 'Bob', 'Zoë'])}{last}"
            self._world.execute("UPDATE contacts SET name = :name WHERE id = :id", name=name, id=contact)

    def _import(self) -> None:
        """One transaction, many rows in another order than ours: made for deadlocks."""
        chosen = self._some(40)
        source = f"https://example.com/{self._dice.randint(1, 10**6)}"
        with self._world.engine.begin() as connection:
            for start in range(0, len(chosen), 8):
                connection.execute(sa.text(IMPORT), {"ids": chosen[start : start + 8], "source": source})

    def _delete(self) -> None:
        contact = self._contacts.pop(self._dice.randrange(len(self._contacts)))
        self._world.execute("DELETE FROM contacts WHERE id = :id", id=contact)

    def _change_sync_status_alone(self) -> None:
        """By hand, in the table: it still wins over the result of a worker."""
        status = self._dice.choice(["New", "Selected"])  # in the statement, as each CRM has an enum of its own
        self._world.execute(
            f"UPDATE contacts SET {self._crm.sync_status} = '{status}' "
            f"WHERE id = ANY(:ids) AND {self._crm.processing_status} = 'Processing'",
            ids=self._some(3),
        )
