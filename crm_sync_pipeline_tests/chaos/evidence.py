"""All that is known of a trial once it is over: the audit trigger's history, our tables, the simulator, the traces."""

import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from crm_sync_pipeline.contact_queue.database.tables import attempts as attempts_table
from crm_sync_pipeline.domain.contact import SENT_FIELDS, Contact
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.audit import Change, by_contact, read_history, status_in
from crm_sync_pipeline_tests.chaos.contacts import OPTED_OUT
from crm_sync_pipeline_tests.chaos.trace import Event
from crm_sync_pipeline_tests.chaos.vendor import Vendor
from crm_sync_pipeline_tests.chaos.watched import Obeyed

_FRACTION = re.compile(r"\.(\d+)")

KEPT = Path("chaos-evidence")
"""Where the evidence of a trial that violated something is kept: what a seed fixes is the plan, not the moment."""

Window = tuple[float, float]
"""From when to when, by the monotonic clock."""


@dataclass(slots=True)
class Call:
    """One contact's part of a request as the worker that made it saw it. Times: monotonic.

    `outcome` is None where it saw no end of it. `number` is that of the request, and behind a colon the address where
    the request carries many. Of an import that became the process `process`, any worker may have seen the end, under
    the token `journaled_under`.
    """

    number: str
    worker: str
    token: UUID
    contact: UUID
    reading_at: float
    sent_at: float
    answered_at: float | None = None
    outcome: str | None = None
    payload_hash: str | None = None
    process: int | None = None
    journaled_under: UUID | None = None


@dataclass(slots=True)
class Life:
    """What befell one worker. `killed_at` and `ended_at` are None for one that did not die so, or lives still."""

    killed_at: float | None = None
    ended_at: float | None = None
    stopped: Sequence[Window] = ()


@dataclass
class Evidence:
    """`contacts` and `deliveries` are the rows at the end, by contact id; `attempts` are by token and contact.

    `calls` and `lives` are empty where workers write nothing down (under Dagster). `disturbed` says when workers could
    not reach their database. `hopeless` contacts must end in Error with these words. `clashing` ones have one phone
    number, which the vendor lets one of them have. `killers` are contacts that no worker survives. `ids` are those
    that deliveries must name, by address. `opted_out` are the addresses that are so in the end. `epoch` is what to add
    to a monotonic time for seconds since 1970.
    """

    vendor: Vendor
    history: Sequence[Change]
    contacts: Mapping[UUID, dict[str, Any]]
    deliveries: Mapping[UUID, dict[str, Any]]
    attempts: Mapping[tuple[UUID, UUID], dict[str, Any]]
    obeyed: Sequence[Obeyed]
    epoch: float
    calls: Mapping[str, Call] = field(default_factory=dict)
    lives: Mapping[str, Life] = field(default_factory=dict)
    events: Sequence[Event] = ()
    disturbed: Sequence[Window] = ()
    hopeless: Mapping[UUID, str] = field(default_factory=dict)
    clashing: frozenset[UUID] = frozenset()
    killers: frozenset[UUID] = frozenset()
    ids: Mapping[str, str] = field(default_factory=dict)
    opted_out: frozenset[str] = OPTED_OUT
    hung: Sequence[str] = ()
    idle_in_transaction: Sequence[tuple[float, float]] = ()

    def __post_init__(self) -> None:
        self.of_contacts = by_contact(self.history, "contacts")
        self.of_deliveries = by_contact(self.history, "deliveries")
        self._journaling: dict[str, list[Event]] = {}
        for event in self.events:
            if event.name in ("journaling", "journaled"):
                self._journaling.setdefault(event.worker, []).append(event)
        told = [(event.name, event.told) for event in self.events]
        self.adopting = frozenset(UUID(words["token"]) for name, words in told if name == "adopting")
        self._imports = {words["process"]: words["the_import"] for name, words in told if name == "import_noted"}
        self._given_up = frozenset(words["the_import"] for name, words in told if name == "giving_up")
        self._by_email = {row["email"].strip().lower(): contact for contact, row in self.contacts.items()}

    def obeyed_of_contact(self) -> dict[UUID, list[Obeyed]]:
        """What was carried out for each contact, in the order in which it was."""
        found: dict[UUID, list[Obeyed]] = {}
        for each in self.obeyed:
            call = self.calls.get(each.call)
            contact = call.contact if call else self._by_email.get(each.email)
            if contact is not None:
                found.setdefault(contact, []).append(each)
        return found

    def status(self, row: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """Sync and processing status of a row of `contacts`."""
        return status_in(row, self.vendor.crm)

    def ended_in_error(self) -> Iterator[UUID]:
        """The contacts that stand in Error."""
        return (contact for contact, row in self.contacts.items() if self.status(row)[1] == "Error")

    def attempt_of(self, call: Call) -> dict[str, Any] | None:
        """What was journaled of a call, under whichever token."""
        return self.attempts.get((call.journaled_under or call.token, call.contact))

    def was_waited_for(self, process: int) -> bool:
        """Whether an import was known by its process, and nobody gave it up."""
        return process in self._imports and self._imports[process] not in self._given_up

    def was_journaling(self, worker: str, start: float, end: float) -> bool:
        """Whether a write to the journal that this worker began by `start` had not ended by `end`."""
        in_progress: float | None = None
        for event in self._journaling.get(worker, ()):
            if event.at > end:
                break
            in_progress = event.at if event.name == "journaling" else None
        return in_progress is not None and in_progress <= start

    def was_disturbed(self, start: float, end: float) -> bool:
        """Whether workers could not reach their database at some time between the two."""
        return any(begin <= end and finish >= start for begin, finish in self.disturbed)

    def was_stopped(self, worker: str, start: float, end: float) -> bool:
        """Whether this worker was stopped at some time between the two."""
        life = self.lives.get(worker)
        return life is not None and any(begin <= end and finish >= start for begin, finish in life.stopped)


def keep(evidence: Evidence, level: str, seed: int) -> Path:
    """Write the evidence down, to take it apart: `pickle.load` gives it back."""
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{level}-{seed}.pickle"
    path.write_bytes(pickle.dumps(evidence))
    return path


def seconds_of(timestamp: str) -> float:
    """Seconds since 1970 of a timestamp as PostgreSQL writes it into JSON."""
    return datetime.fromisoformat(_FRACTION.sub(lambda found: f".{found[1]:0<6}", timestamp)).timestamp()


def contact_in(row: Mapping[str, Any]) -> Contact:
    """The contact in a row of the audit trigger's history."""
    return Contact(id=UUID(str(row["id"])), **{name: row[name] for name in SENT_FIELDS})


def read_tables(world: World, crm: Crm) -> dict[str, Any]:
    """The part of the evidence that lies in the database."""
    name = crm.name
    return {
        "history": read_history(world.engine, crm),
        "contacts": {row["id"]: row for row in world.rows("SELECT * FROM contacts")},
        "deliveries": {
            row["contact_id"]: row
            for row in world.rows("SELECT * FROM crm_sync.deliveries WHERE destination = :name", name=name)
        },
        "attempts": {
            (row["claim_token"], row["contact_id"]): row
            for row in world.rows(f"SELECT * FROM {attempts_table.fullname} WHERE destination = :name", name=name)
        },
    }


def calls_in(events: Sequence[Event]) -> dict[str, Call]:
    """The calls that the traces tell of, by their numbers."""
    return {call.number: call for call in _calls(events)}


def _calls(events: Sequence[Event]) -> Iterator[Call]:
    reading: dict[str, Event] = {}
    open_calls: dict[str, Call] = {}
    for event in events:
        if event.name == "reading":
            reading[event.worker] = event
        elif event.name == "sent":
            read = reading[event.worker]
            token, contact = UUID(read.told["token"]), UUID(event.told["contact"])
            call = Call(event.told["call"], event.worker, token, contact, read.at, event.at)
            open_calls[call.number] = call
            yield call
        elif event.name == "answered":
            call = open_calls[event.told["call"]]
            call.answered_at, call.outcome = event.at, event.told["outcome"]
            call.payload_hash = event.told["payload"]


def with_imports(
    calls: Mapping[str, Call],
    processes: Mapping[str, int],
    attempts: Mapping[tuple[UUID, UUID], Mapping[str, Any]],
    epoch: float,
) -> Mapping[str, Call]:
    """The same calls; those of imports know their results, which is journaled under the number of their process."""
    journaled = {(row["request_id"], contact): (token, row) for (token, contact), row in attempts.items()}
    for call in calls.values():
        number, is_part, _ = call.number.partition(":")
        if not is_part or number not in processes:
            continue
        call.process = processes[number]
        token, row = journaled.get((f"process {call.process}", call.contact), (None, None))
        if token and row:
            call.journaled_under, call.outcome = token, row["outcome"]
            call.answered_at = row["attempted_at"].timestamp() - epoch
    return calls
