"""Whatever people, workers, time and death do, in whatever order: nothing is lost, overwritten or claimed twice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import Deferred, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline_tests.builders import LEASE, World, attempt

OUTCOMES: list[Outcome] = [
    Synced("1", "created"),
    Failed("http_503", "try later"),
    Rejected("http_400", "not valid"),
    Deferred("http_401", "wrong key"),
]
_ROWS = """
SELECT c.id, c.brevo_sync_status::text AS sync, c.brevo_processing_status::text AS processing,
       d.claim_token, d.retry_count, d.lost_count, d.lease_expires_at > now() AS lives,
       (SELECT max(number) FROM crm_sync.attempts) AS highest_number
FROM contacts c LEFT JOIN crm_sync.deliveries d ON d.contact_id = c.id AND d.destination = 'brevo'
ORDER BY c.id
"""
CONTACTS = 3
WORKERS = (0, 1)
STATES = {
    ("New", None),
    ("Selected", "Queued"),
    ("Queued", "Queued"),
    ("Processing", "Processing"),
    ("Complete", "Complete"),
    ("Error", "Error"),
}


@dataclass
class Worker:
    """What a worker believes: its token, the contacts as it read them, what it sent of which."""

    token: UUID | None = None
    claimed: list[Contact] = field(default_factory=list)


@dataclass
class Known:
    """The model of one contact: what a person decided last, and whether a claim has come since."""

    wanted: bool = False
    decided_since_claim: bool = False
    on_hold: bool = False
    edits: int = 0


class Queue(RuleBasedStateMachine):
    """Rules are what people and workers do; after each the invariants are read from the database."""

    world: ClassVar[World]
    queue: ClassVar[ContactQueue]
    reader: ClassVar[sa.Connection]

    def __init__(self) -> None:
        super().__init__()
        self.world.script("TRUNCATE contacts, crm_sync.deliveries, crm_sync.attempts")
        self.model: dict[UUID, Known] = {}
        self.workers = {number: Worker() for number in WORKERS}
        self.stale: list[UUID] = []
        self.sent: set[UUID] = set()

    @initialize()
    def fill(self) -> None:
        self.world.add_many(CONTACTS)
        self.world.execute(
            "UPDATE contacts SET brevo_sync_status = 'New', brevo_processing_status = NULL, "
            "id = CAST(md5(email) AS uuid)"  # the same ids each time, so that a failure can be told again
        )
        for row in self.rows():
            self.model[row["id"]] = Known()
        self.select_all()

    def rows(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.reader.exec_driver_sql(_ROWS).mappings()]

    def one(self, index: int) -> UUID | None:
        ids = sorted(self.model)
        return ids[index % len(ids)] if ids else None

    # People

    @rule(index=st.integers(0, CONTACTS - 1))
    def select(self, index: int) -> None:
        if contact := self.one(index):
            self.world.act("select", [contact])
            self.model[contact].wanted = True
            self.model[contact].decided_since_claim = True

    @rule()
    def select_all(self) -> None:
        for index in range(len(self.model)):
            self.select(index)

    @precondition(lambda self: any(worker.claimed for worker in self.workers.values()))
    @rule(worker=st.sampled_from(WORKERS), again=st.booleans())
    def change_ones_mind_while_the_call_is_in_the_air(self, worker: int, again: bool) -> None:
        """Select, or unselect, what a worker holds: the hour of most races."""
        for contact in self.workers[worker].claimed:
            if contact.id in self.model:
                (self.select if again else self.unselect)(sorted(self.model).index(contact.id))

    @rule(index=st.integers(0, CONTACTS - 1))
    def unselect(self, index: int) -> None:
        if contact := self.one(index):
            self.world.act("unselect", [contact])
            self.model[contact].wanted = False
            self.model[contact].decided_since_claim = True

    @rule()
    def requeue(self) -> None:
        due = [row["id"] for row in self.rows() if row["processing"] == "Error"]
        self.world.act("requeue")
        for contact in due:
            self.model[contact].decided_since_claim = True

    @rule(index=st.integers(0, CONTACTS - 1))
    def hold(self, index: int) -> None:
        """What a run has claimed goes back into the queue, as if it had been selected again."""
        if contact := self.one(index):
            self.world.act("hold", [contact])
            self.model[contact].on_hold = True
            self.model[contact].decided_since_claim = True

    @rule(index=st.integers(0, CONTACTS - 1))
    def release(self, index: int) -> None:
        if contact := self.one(index):
            self.world.act("release", [contact])
            self.model[contact].on_hold = False

    @rule(index=st.integers(0, CONTACTS - 1))
    def edit(self, index: int) -> None:
        if contact := self.one(index):
            self.model[contact].edits += 1
            self.world.execute(
                "UPDATE contacts SET name = :name WHERE id = :id", name=f"name {self.model[contact].edits}", id=contact
            )

    @rule(index=st.integers(0, CONTACTS - 1))
    def delete(self, index: int) -> None:
        contact = self.one(index)
        if contact and len(self.model) > 1:
            self.world.execute("DELETE FROM contacts WHERE id = :id", id=contact)
            del self.model[contact]

    # Workers

    @rule(worker=st.sampled_from(WORKERS), size=st.integers(1, CONTACTS))
    def claim(self, worker: int, size: int) -> None:
        before = {row["id"]: row for row in self.rows()}
        batch = self.queue.claim(size)
        if old := self.workers[worker].token:
            self.stale.append(old)
        claimed = self.queue.contacts_of(batch.token)
        assert len(claimed) == batch.size <= size
        for contact in claimed:
            assert not (before[contact.id]["claim_token"] and before[contact.id]["lives"]), "taken from a live claim"
            assert self.model[contact.id].wanted, "claimed though nobody wants it sent"
            assert not self.model[contact.id].on_hold, "claimed though it is on hold"
            self.model[contact.id].decided_since_claim = False
        if len(claimed) > 1:
            assert all((before[contact.id]["lost_count"] or 0) < 3 for contact in claimed)
        self.workers[worker] = Worker(batch.token, claimed)

    @precondition(lambda self: any(worker.token for worker in self.workers.values()))
    @rule(worker=st.sampled_from(WORKERS), outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=CONTACTS))
    def journal(self, worker: int, outcomes: list[Outcome]) -> None:
        """A worker sends some of what it holds, and writes down what came of it."""
        self_ = self.workers[worker]
        if self_.token is None:
            return
        mine = {row["id"] for row in self.rows() if row["claim_token"] == self_.token and row["lives"]}
        done = [attempt(contact, outcome) for contact, outcome in zip(self_.claimed, outcomes, strict=False)]
        known = {row["contact_id"] for row in self.attempts(self_.token)}
        status = self.queue.journal(self_.token, done)
        assert bool(status.total) >= bool(mine)
        for one in done:
            if isinstance(one.outcome, Synced) and one.contact_id not in known:
                self.sent.add(one.contact_id)

    def attempts(self, token: UUID) -> list[dict[str, Any]]:
        return self.world.rows("SELECT contact_id FROM crm_sync.attempts WHERE claim_token = :token", token=token)

    @precondition(lambda self: any(worker.token for worker in self.workers.values()))
    @rule(worker=st.sampled_from(WORKERS))
    def settle(self, worker: int) -> None:
        if token := self.workers[worker].token:
            self.deciding(lambda: self.queue.settle(token))
            assert not [row for row in self.rows() if row["claim_token"] == token]
            self.stale.append(token)
            self.workers[worker] = Worker()

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def settle_late(self, data: st.DataObject) -> None:
        """A worker that was believed dead wakes up. What it no longer holds it can not touch."""
        token = data.draw(st.sampled_from(self.stale))
        holds = any(row["claim_token"] == token for row in self.rows())
        before = None if holds else self.world.snapshot()
        self.deciding(lambda: self.queue.settle(token))
        if before is not None:
            orphans_gone = [line for line in before if str(token) not in line or "deliveries" not in line]
            assert [line for line in self.world.snapshot() if line in before] == orphans_gone

    @rule()
    def recover(self) -> None:
        self.deciding(self.queue.recover)

    @rule(minutes=st.sampled_from([1, 4, 6, 21]))
    def time_passes(self, minutes: int) -> None:
        self.world.pass_time(timedelta(minutes=minutes))

    @rule()
    def every_lease_runs_out(self) -> None:
        self.world.pass_time(LEASE + timedelta(seconds=1))

    def deciding(self, writes: Callable[[], object]) -> None:
        """Run something that writes results; what a person decided after the claim must come out of it untouched."""
        before = {row["id"]: (row["sync"], row["processing"]) for row in self.rows()}
        writes()
        for row in self.rows():
            if self.model[row["id"]].decided_since_claim:
                assert (row["sync"], row["processing"]) == before[row["id"]], "a result overwrote a decision"

    @rule(worker=st.sampled_from(WORKERS), outcome=st.sampled_from(OUTCOMES))
    def a_run_from_end_to_end(self, worker: int, outcome: Outcome) -> None:
        self.claim(worker, CONTACTS)
        self.journal(worker, [outcome] * CONTACTS)
        self.settle(worker)

    @rule(worker=st.sampled_from(WORKERS))
    def a_run_that_sends_nothing(self, worker: int) -> None:
        self.claim(worker, CONTACTS)
        self.settle(worker)

    @rule(worker=st.sampled_from(WORKERS), journaled=st.integers(0, CONTACTS))
    def a_run_that_dies(self, worker: int, journaled: int) -> None:
        self.claim(worker, CONTACTS)
        self.journal(worker, OUTCOMES[:journaled])
        self.every_lease_runs_out()

    # What always holds

    @invariant()
    def nothing_is_lost_overwritten_or_held_twice(self) -> None:
        rows = self.rows()
        tokens = {worker.token for worker in self.workers.values()} | set(self.stale)
        assert {row["id"] for row in rows} == set(self.model)
        for row in rows:
            state, known = (row["sync"], row["processing"]), self.model[row["id"]]
            assert state in STATES
            assert (state == ("New", None)) == (not known.wanted), "a decision was lost"
            if state == ("Processing", "Processing"):
                assert row["claim_token"] in tokens, "not claimed"
            elif row["claim_token"] is not None:
                assert known.decided_since_claim, "claimed, though it is not being delivered"
            if state == ("Complete", "Complete"):
                assert row["id"] in self.sent, "Complete, and nothing was ever delivered"
            assert 0 <= (row["retry_count"] or 0) <= 3
            assert 0 <= (row["lost_count"] or 0) <= 3 or state == ("Error", "Error")
            assert 1 <= (row["highest_number"] or 1) <= 4

    def teardown(self) -> None:
        """Let everything finish: whatever happened, each wanted contact ends Complete or Error."""
        if not self.model:
            return
        for index in range(len(self.model)):
            self.release(index)
        for _ in range(60):
            if all(row["processing"] not in ("Queued", "Processing") for row in self.rows()):
                break
            self.world.pass_time(timedelta(minutes=21))
            batch = self.queue.claim(100)  # may be empty: recovery has just queued a failure, which now waits
            claimed = self.queue.contacts_of(batch.token)
            self.queue.journal(batch.token, [attempt(contact) for contact in claimed])
            self.queue.settle(batch.token)
        for row in self.rows():
            wanted = self.model[row["id"]].wanted
            assert row["processing"] in (("Complete", "Error") if wanted else (None,)), "a contact was lost"
        self.world.pass_time(timedelta(minutes=21))
        self.queue.recover()
        assert all(row["claim_token"] is None for row in self.rows())
        assert not self.queue.needs_recovery()


def test_nothing_is_lost_overwritten_or_held_twice_whatever_happens(module_world: World) -> None:
    Queue.world = module_world
    Queue.queue = module_world.queue()
    with module_world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as Queue.reader:
        run_state_machine_as_test(
            Queue,
            settings=settings(
                max_examples=15,
                stateful_step_count=25,
                deadline=None,
                phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking would take minutes
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )
