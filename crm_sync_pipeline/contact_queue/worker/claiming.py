"""Claiming: what is due goes under a token; a row that takes no update is put aside, and the others are claimed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns, as_rows
from crm_sync_pipeline.contact_queue.database.transactions import in_halves, in_transaction, in_transaction_without
from crm_sync_pipeline.contact_queue.people import decide_sql, hold_sql
from crm_sync_pipeline.contact_queue.people.chunks import Refusal
from crm_sync_pipeline.contact_queue.worker import aside_sql, claim_sql
from crm_sync_pipeline.contact_queue.worker.breaker import BreakerRecord
from crm_sync_pipeline.domain.batch import Batch
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.transition import LOSSES_UNTIL_QUARANTINE

ASIDE = timedelta(minutes=15)
"""How long a contact stays out of the claims' way that the database refuses to change."""

PROBE_IS_ONE_OF = 100
"""How many due contacts a probe is chosen from: one not tried yet, as the others may be why the breaker is open."""

Adopt = Callable[[sa.Connection, UUID, str | None], int]
"""Puts an import whose run is gone under a token, for a run; how many contacts it holds, or 0."""

NAMED = 3
SUPPRESSED = "an UPDATE of it changes nothing, so a trigger of the table suppresses it"


@dataclass(slots=True)
class Taken:
    """How many contacts one transaction claimed, and those that PostgreSQL refused to change."""

    claimed: int = 0
    refused: list[Refusal] = field(default_factory=list)
    is_quarantined: bool = False

    @property
    def note(self) -> str:
        """A sentence about what was put aside, without personal data; "" where nothing was."""
        if not self.refused:
            return ""
        named = "; ".join(f"{each.contact_id}: {each.why}" for each in self.refused[:NAMED])
        more = len(self.refused) - NAMED
        return (
            f"{len(self.refused)} {'contact was' if len(self.refused) == 1 else 'contacts were'} put aside for "
            f"{ASIDE.total_seconds() / 60:g} minutes, because the database refuses to change "
            f"{'it' if len(self.refused) == 1 else 'them'}: {named}{f'; and {more} more' if more > 0 else ''}. "
            "Fix the row, or the constraint or trigger of the table."
        )


class Claiming:
    """Claims the deliveries of one destination: those due, or one by its id."""

    def __init__(
        self,
        engine: sa.Engine,
        columns: DestinationColumns,
        lease: timedelta,
        breaker: BreakerRecord,
        adopt_import: Adopt,
    ) -> None:
        self.crm = columns.crm
        self._engine = engine
        self._columns = columns
        self._lease = lease
        self._breaker = breaker
        self._adopt_import = adopt_import

    def due(
        self,
        size: int,
        run_id: str | None,
        token: UUID,
        *,
        recovered: int,
        only_quarantined: bool,
        adopts_imports: bool,
    ) -> Batch:
        """Take at most `size` due contacts under `token`; the `recovered` ones of dead runs are back in the queue."""
        down = self._breaker.state()
        closed_to_us = down is not None and not down.probe_is_due

        def take(connection: sa.Connection, is_careful: bool) -> Taken:
            if claimed := self._claimed(connection, token):
                return Taken(claimed)
            if closed_to_us:
                return Taken()
            if adopts_imports and (waiting := self._adopt_import(connection, token, run_id)):
                if down:
                    self._breaker.take_probe(connection)
                return Taken(waiting)
            due = connection.execute(
                claim_sql.lock_due(self._columns), {"size": PROBE_IS_ONE_OF if down else size}
            ).all()
            due = sorted(due, key=lambda row: not row.is_fresh)[:1] if down else due
            is_quarantined = bool(due) and due[0].lost_count >= LOSSES_UNTIL_QUARANTINE
            is_unwanted = only_quarantined and not is_quarantined
            if not due or is_unwanted or (down and not self._breaker.take_probe(connection)):
                return Taken(is_quarantined=is_quarantined)
            together = due[:1] if is_quarantined else [row for row in due if row.lost_count < LOSSES_UNTIL_QUARANTINE]
            taken = self._take(connection, together, token, run_id, is_careful)
            taken.is_quarantined = is_quarantined
            return taken

        taken = in_transaction_without(self._engine, take)
        down_note = f"{self.crm.title} is down: {down.message}" if down and closed_to_us else ""
        nothing = "" if taken.claimed else down_note or f"No contact is due for {self.crm.title}."
        return Batch(
            self.crm.name,
            token,
            taken.claimed,
            taken.note or nothing,
            is_quarantined=taken.is_quarantined and taken.claimed > 0,
            recovered=recovered,
            put_aside=len(taken.refused),
        )

    def one(self, contact_id: UUID, run_id: str | None, token: UUID) -> Batch:
        """Take one contact at once, whatever its state, under `token`. CrmSyncError where that can't be done."""
        key = {"id": contact_id}

        def take(connection: sa.Connection) -> int:
            if claimed := self._claimed(connection, token):
                return claimed
            if connection.execute(claim_sql.lock_one(self._columns), key).one_or_none() is None:
                raise CrmSyncError(f"There is no contact {contact_id}. Nothing was sent. Check the id.")
            if held_at := connection.execute(hold_sql.on_hold_since(self.crm.name), key).scalar_one_or_none():
                raise CrmSyncError(
                    f"Contact {contact_id} has been on hold for {self.crm.title} since "
                    f"{held_at:%Y-%m-%d %H:%M:%S %Z}. Nothing was sent or changed. "
                    f"`crm-sync release {contact_id} --crm {self.crm.name}` releases it."
                )
            connection.execute(decide_sql.select_now(self._columns), {"ids": [contact_id]})
            connection.execute(aside_sql.end_aside(self.crm.name), key)
            where_it_is_now = connection.execute(claim_sql.lock_one(self._columns), key).all()
            taken = self._take(connection, where_it_is_now, token, run_id, is_careful=False)
            if taken.refused:
                raise CrmSyncError(
                    f"Contact {contact_id} can't be claimed: {taken.refused[0].why}. Nothing was sent or changed. Fix "
                    "the trigger of the table."
                )
            if not taken.claimed:
                raise CrmSyncError(
                    f"Contact {contact_id} is being delivered to {self.crm.title} by another run right now. "
                    "Nothing was changed. Look again in a minute."
                )
            return taken.claimed

        return Batch(self.crm.name, token, in_transaction(self._engine, take))

    def _claimed(self, connection: sa.Connection, token: UUID) -> int:
        return int(connection.execute(claim_sql.claimed_by(self.crm.name), {"token": token}).scalar_one())

    def _take(
        self, connection: sa.Connection, locked: Sequence[Any], token: UUID, run_id: str | None, is_careful: bool
    ) -> Taken:
        taken = Taken()

        def mark(some: Sequence[Any]) -> None:
            which = {"ids": [row.id for row in some], "places": [row.place for row in some], "token": token}
            lease = {"lease_seconds": self._lease.total_seconds(), "run_id": run_id}
            claimed = connection.execute(claim_sql.mark_claimed(self._columns), which | lease).rowcount
            taken.claimed += claimed
            if claimed < len(some):  # others may have claimed the rest meanwhile, or it takes no update
                suppressed = connection.execute(aside_sql.not_marked(self._columns), which).scalars()
                taken.refused += [Refusal(contact_id, SUPPRESSED) for contact_id in suppressed]

        if not locked:
            return taken
        if is_careful:
            in_halves(connection, locked, mark, lambda row, why: taken.refused.append(Refusal(row.id, why)))
        else:
            mark(locked)
        if taken.refused:
            self._put_aside(connection, taken.refused, token, run_id)
        return taken

    def _put_aside(
        self, connection: sa.Connection, refused: Sequence[Refusal], token: UUID, run_id: str | None
    ) -> None:
        """Under a token of their own, which nobody works for: they are due again when its lease has run out."""
        rows = [{"contact_id": each.contact_id, "message": each.why} for each in refused]
        parameters = {
            **as_rows("refused", rows),
            "token": token,
            "aside": uuid4(),
            "of_run": run_id,
            "lease_seconds": ASIDE.total_seconds(),
        }
        connection.execute(aside_sql.put_aside(self.crm.name), parameters)
