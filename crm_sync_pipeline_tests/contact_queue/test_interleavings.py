"""All orders of two sessions' steps: nothing is lost, claimed twice, counted twice or overwritten in any of them."""

from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database import columns, transactions
from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.database.tables import deliveries
from crm_sync_pipeline.contact_queue.people import chosen_sql, decide_sql
from crm_sync_pipeline.contact_queue.reading import report_sql
from crm_sync_pipeline.contact_queue.worker import claim_sql, due_sql, journal_sql, settle_sql
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.contact_queue.interleaving import Interleaving, Step
from crm_sync_pipeline_tests.contact_queue.two_contacts import OPERATIONS, TwoContacts, states

Rig = tuple[TwoContacts, Interleaving]
NOT_OURS = {"edit", "import"}
PAIRS = [pair for pair in combinations_with_replacement(OPERATIONS, 2) if states(*pair) and not set(pair) <= NOT_OURS]
DEADLOCK = "40P01"


@pytest.fixture(scope="module")
def rig(module_world: World) -> Iterator[Rig]:
    contacts = TwoContacts(module_world)
    sessions = Interleaving(contacts.url)
    yield contacts, sessions
    sessions.close()


@pytest.fixture(autouse=True)
def _no_wait_before_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda _seconds: None))


def violations(rig: Rig, first: str, second: str) -> Iterator[str]:
    contacts, sessions = rig
    operations = [contacts.operations[name] for name in (first, second)]
    for state in states(first, second):
        for order in sessions.orders(lambda state=state: contacts.prepare(state), operations):  # type: ignore[misc]
            for what in contacts.violations((first, second), order):
                yield f"{state}: {what}, after {order}"


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[" + ".join(pair) for pair in PAIRS])
def test_whatever_the_order_nothing_is_lost_claimed_twice_counted_twice_or_overwritten(
    rig: Rig, first: str, second: str
) -> None:
    assert list(violations(rig, first, second)) == []


def test_deadlocks_happen_and_nobody_gets_to_see_them(rig: Rig) -> None:
    contacts, sessions = rig
    work = [contacts.operations[name] for name in ("settle", "import")]
    orders = list(sessions.orders(lambda: contacts.prepare("claimed and journaled"), work))
    assert [order for order in orders if DEADLOCK in order.refused], "an import that locks in another order"
    assert [order.raised for order in orders] == [[None, None]] * len(orders)


def test_steps_may_be_swapped_only_where_neither_can_see_the_other() -> None:
    contacts, both = frozenset({"contacts"}), frozenset({"contacts", "deliveries"})
    reads = Step(0, "SELECT", contacts, frozenset())
    writes, also_writes = Step(0, "UPDATE", contacts, contacts), Step(1, "UPDATE", both, both)
    commit, empty_commit = Step(1, "COMMIT", frozenset(), both), Step(1, "COMMIT", frozenset(), frozenset())
    waited = Step(1, "UPDATE", frozenset(), frozenset(), waited=True)
    assert reads.commutes_with(also_writes), "what is not committed is not seen"
    assert not writes.commutes_with(also_writes)
    assert not reads.commutes_with(commit)
    assert not commit.commutes_with(writes)
    assert reads.commutes_with(empty_commit)
    assert not reads.commutes_with(waited)


@pytest.mark.parametrize(
    ("pair", "state"), [(("recover", "edit"), "expired and journaled"), (("recover", "journal"), "expired")], ids=str
)
def test_the_orders_that_are_left_out_would_come_to_nothing_else(rig: Rig, pair: tuple[str, str], state: str) -> None:
    contacts, sessions = rig
    work = [contacts.operations[name] for name in pair]

    def ends(all_of_them: bool) -> list[str]:
        orders = sessions.orders(lambda: contacts.prepare(state), work, all_of_them=all_of_them)
        return [f"{contacts.standing()} {order.raised}" for order in orders]

    some, all_of_them = ends(False), ends(True)
    assert len(some) < len(all_of_them)
    assert set(some) == set(all_of_them)


# The checks can fail: each guard that is taken out lets some order break a promise.

Patch = pytest.MonkeyPatch


BUILDERS = [
    each
    for module in (chosen_sql, claim_sql, decide_sql, due_sql, journal_sql, report_sql, settle_sql)
    for each in vars(module).values()
    if hasattr(each, "cache_clear")
]


@pytest.fixture
def built_anew() -> Iterator[None]:
    """Statements are built once for all, but not those with a guard taken out."""
    _forget_what_was_built()
    yield
    _forget_what_was_built()


def _forget_what_was_built() -> None:
    for each in BUILDERS:
        each.cache_clear()


def without_the_lease(patch: Patch) -> None:
    patch.setattr(columns, "is_free", sa.true)
    patch.setattr(claim_sql, "is_free", sa.true)


def without_the_lease_in_recovery(patch: Patch) -> None:
    lock_expired = settle_sql.lock_expired

    def of_any_age(of: DestinationColumns) -> sa.Executable:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(settle_sql, "NOW", sa.literal_column("'infinity'::timestamptz"))
            return lock_expired(of)

    patch.setattr(settle_sql, "lock_expired", of_any_age)


def without_the_token(patch: Patch) -> None:
    patch.setattr(settle_sql, "TOKEN", deliveries.c.claim_token)


def without_locks_in_the_claim(patch: Patch) -> None:
    patch.setattr(claim_sql, "lock_due", _unlocked(claim_sql.lock_due))
    patch.setattr(claim_sql, "is_free", sa.true)


def without_locks_in_settling(patch: Patch) -> None:
    patch.setattr(settle_sql, "lock_claimed", _unlocked(settle_sql.lock_claimed))


def _unlocked(build: Callable[..., sa.Executable]) -> Callable[..., sa.Executable]:
    def unlocked(of: DestinationColumns, *options: bool) -> sa.Executable:
        statement: Any = build(of, *options)
        statement._for_update_arg = None
        return statement  # type: ignore[no-any-return]

    return unlocked


def without_the_persons_decision(patch: Patch) -> None:
    patch.setattr(DestinationColumns, "is_claimed", property(lambda _columns: sa.true()))


def without_late_calls(patch: Patch) -> None:
    patch.setattr(
        journal_sql, "send_again", lambda of: sa.update(of.table).values(updated_at=sa.func.now()).where(sa.false())
    )


def without_another_try(patch: Patch) -> None:
    patch.setattr(transactions, "TRANSIENT", ())


@pytest.mark.usefixtures("built_anew")
@pytest.mark.parametrize(
    ("take_out", "pair", "says"),
    [
        (without_the_lease, ("claim", "select"), "claim took a live claim"),
        (without_the_lease_in_recovery, ("recover", "extend"), "recover took a live claim"),
        (without_the_token, ("settle", "settle late"), "settle late took a live claim"),
        (without_locks_in_the_claim, ("claim", "claim"), "claim took a live claim"),
        (without_locks_in_settling, ("settle", "edit"), "it was edited, and counts as delivered"),
        (without_the_persons_decision, ("settle", "unselect"), "it was unselected and is"),
        (without_late_calls, ("settle", "journal late"), "what was sent late may have landed last"),
        (without_another_try, ("settle", "import"), "raised DatabaseError"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_guard_that_is_taken_out_is_missed_in_some_order(
    rig: Rig, monkeypatch: Patch, take_out: Callable[[Patch], None], pair: tuple[str, str], says: str
) -> None:
    take_out(monkeypatch)
    assert any(says in violation for violation in violations(rig, *pair))
