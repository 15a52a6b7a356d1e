"""The product with one of its safeguards taken out, to prove that the checks can fail. For a worker's process only.

SQLAlchemy has no public way to take something out of a statement, so two of its private attributes are used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database import columns
from crm_sync_pipeline.contact_queue.database.columns import SIZE, TOKEN, DestinationColumns
from crm_sync_pipeline.contact_queue.database.tables import attempts, deliveries
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.contact_queue.worker import claim_sql, settle_sql
from crm_sync_pipeline.domain.batch import Attempt, LeaseStatus, Settlement
from crm_sync_pipeline_tests.chaos.plan import Act


def without_token_check() -> None:
    """A worker settles what it journaled whoever holds it by now, and never learns that its claim is lost."""
    end_claim, journal = settle_sql._end_claim, ContactQueue.journal

    def lock_mine(its: DestinationColumns) -> sa.Executable:
        journaled = sa.select(attempts.c.contact_id).where(attempts.c.claim_token == TOKEN)
        mine: sa.Executable = (
            sa.select(
                its.id.label("id"),
                TOKEN.label("claim_token"),
                *(deliveries.c[name] for name in ("retry_count", "lost_count", "payload_hash", "late_payload_hash")),
                *(deliveries.c[name] for name in ("remote_id", "remote_fields")),
                its.delivered_to.label("delivered_to"),
                its.is_claimed.label("is_claimed"),
                *its.sent_fields(),
            )
            .select_from(its.table.join(deliveries, its.delivery))
            .where(sa.or_(deliveries.c.claim_token == TOKEN, its.id.in_(journaled)))
            .order_by(its.id)
            .limit(SIZE)
            .with_for_update(key_share=True, of=[its.table, deliveries])
        )
        return mine

    def end_any_claim(settled: sa.CTE, destination: str) -> Any:
        statement: Any = end_claim(settled, destination)
        statement._where_criteria = tuple(each for each in statement._where_criteria if "claim_token" not in str(each))
        return statement

    def journal_and_go_on(
        self: ContactQueue, token: UUID, done: Iterable[Attempt], run_id: str | None = None, *, look: bool = True
    ) -> LeaseStatus:
        status = journal(self, token, done, run_id, look=look)
        return status if status.total else LeaseStatus(1, self.lease.total_seconds())

    _replace(settle_sql, "lock_claimed", lock_mine)
    _replace(settle_sql, "_end_claim", end_any_claim)
    _replace(ContactQueue, "journal", journal_and_go_on)


def without_lease() -> None:
    """A claim takes away what another worker holds, however long its lease still runs."""

    def lock_anything_claimed(its: DestinationColumns) -> sa.Executable:
        statement: sa.Executable = (
            settle_sql._claimed_rows(its)
            .where(deliveries.c.claim_token.is_not(None))
            .order_by(its.id)
            .limit(SIZE)
            .with_for_update(key_share=True, skip_locked=True, of=[its.table, deliveries])
        )
        return statement

    _replace(settle_sql, "lock_expired", lock_anything_claimed)


def without_locks() -> None:
    """Two workers that claim at the same time take the same contacts: nothing is locked, nothing looked at again."""
    lock_due = claim_sql.lock_due

    def choose_due(its: DestinationColumns) -> sa.Executable:
        statement: Any = lock_due(its)
        statement._for_update_arg = None
        choice: sa.Executable = statement
        return choice

    _replace(columns, "is_free", sa.true)
    _replace(claim_sql, "is_free", sa.true)
    _replace(claim_sql, "lock_due", choose_due)


def without_journal() -> None:
    """What came of the calls is kept in memory until the batch is settled: a kill forgets it."""
    journal, settle_token = ContactQueue.journal, ContactQueue.settle
    kept: dict[UUID, list[Attempt]] = {}

    def remember(
        self: ContactQueue, token: UUID, done: Iterable[Attempt], run_id: str | None = None, *, look: bool = True
    ) -> LeaseStatus:
        kept.setdefault(token, []).extend(done)
        return journal(self, token, [], run_id, look=look)

    def write_and_settle(self: ContactQueue, token: UUID) -> Settlement:
        journal(self, token, kept.pop(token, []))
        return settle_token(self, token)

    _replace(ContactQueue, "journal", remember)
    _replace(ContactQueue, "settle", write_and_settle)


ABLATIONS: Mapping[str, Callable[[], None]] = {
    "token": without_token_check,
    "lease": without_lease,
    "locks": without_locks,
    "journal": without_journal,
}
"""Those of the product itself; a vendor may have more, which are its destination's."""


_SLEEPERS = (Act(0.0, "vendor_fault", detail="latency=200:for=15"), *(Act(0.3, "stop_until_taken", 6.0),) * 2)

STRUCK_BY: Mapping[str, tuple[Sequence[Act], Mapping[str, float]]] = {
    "token": (_SLEEPERS, {}),
    "lease": ((), {}),
    "locks": ((), {}),
    "journal": ((), {"before_settle": 0.4}),
    "keys": ((Act(0.3, "vendor_fault", detail="reset-after-write:times=20"),), {}),
}
"""The faults that a safeguard is there for, acts and odds: an ablated trial has these and no others.

The token is what stops a worker that slept with calls in flight; those that it has not made, its own clock stops.
"""


def struck_by(ablation: str) -> tuple[Sequence[Act], Mapping[str, float]]:
    """Those of one ablation; a vendor's own show without any."""
    return STRUCK_BY.get(ablation, ((), {}))


def _replace(owner: object, name: str, instead: Any) -> None:
    setattr(owner, name, instead)
