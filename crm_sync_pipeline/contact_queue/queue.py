from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.bulk.imports import Imports
from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns, as_rows
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable
from crm_sync_pipeline.contact_queue.database.rows import contact_of, delivered_of
from crm_sync_pipeline.contact_queue.database.transactions import PATIENCE_FOR_RESULTS, in_transaction
from crm_sync_pipeline.contact_queue.people import chosen_sql
from crm_sync_pipeline.contact_queue.reading import figures_sql
from crm_sync_pipeline.contact_queue.reading.figures import Figures
from crm_sync_pipeline.contact_queue.worker import claim_sql, delivered_sql, due_sql, journal_sql
from crm_sync_pipeline.contact_queue.worker.breaker import BreakerRecord
from crm_sync_pipeline.contact_queue.worker.claiming import Claiming
from crm_sync_pipeline.contact_queue.worker.pace import SharedPace
from crm_sync_pipeline.contact_queue.worker.settling import Settling
from crm_sync_pipeline.contact_queue.worker.shared_look import shared_look
from crm_sync_pipeline.domain.address import normal_form, search_key
from crm_sync_pipeline.domain.batch import Attempt, Batch, LeaseStatus, Settlement
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.domain.delivered import Delivered, fields_as_text
from crm_sync_pipeline.domain.health import Work
from crm_sync_pipeline.domain.masking import redacted
from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES, Failed, Synced
from crm_sync_pipeline.domain.retry import RetryPolicy


class ContactQueue:
    """The deliveries of one destination: claim them, journal attempts, settle. Every method is one short transaction.

    No method holds a transaction open when it returns, so none is open during HTTP. All times are PostgreSQL's.
    """

    def __init__(
        self, engine: sa.Engine, contacts: ContactsTable, crm: Crm, policy: RetryPolicy, lease: timedelta
    ) -> None:
        self.crm = crm
        self.lease = lease
        self.breaker = BreakerRecord(engine, crm.name)
        self.pace = SharedPace(engine, crm.name)
        self._engine = engine
        self._columns = DestinationColumns.of(contacts, crm)
        self.figures = Figures(engine, self._columns, lease)
        self.imports = Imports(engine, self._columns, lease)
        self._claiming = Claiming(engine, self._columns, lease, self.breaker, self.imports.adopt)
        self._settling = Settling(engine, self._columns, policy, lease)

    def claim(
        self,
        size: int,
        run_id: str | None = None,
        token: UUID | None = None,
        only_quarantined: bool = False,
        adopts_imports: bool = False,
    ) -> Batch:
        """Take at most `size` due contacts under a new token, after recovering what earlier runs left behind.

        While the destination is down nothing is claimed, or one contact once a probe is due. A contact that two
        workers in a row lost is quarantined: it is claimed alone, when its turn comes; with `only_quarantined` nothing
        else is. With `adopts_imports` an import whose run is gone comes first, whatever its size. A contact that the
        database refuses to change is put aside for a while, and named in the batch's note. Safe to call again with the
        same `token`.
        """
        recovered = sum(self.recover().endings.values())
        if recovered and self.needs_recovery():  # counted, and yet the rows stand as they did
            recovered = 0
        return self._claiming.due(
            size,
            run_id,
            token or uuid4(),
            recovered=recovered,
            only_quarantined=only_quarantined,
            adopts_imports=adopts_imports,
        )

    def claim_contact(self, contact_id: UUID, run_id: str | None = None, token: UUID | None = None) -> Batch:
        """Take one contact at once, whatever its state.

        CrmSyncError where it is unknown, on hold, or claimed by a live run.
        """
        return self._claiming.one(contact_id, run_id, token or uuid4())

    def contacts_of(self, token: UUID) -> list[Contact]:
        """The contacts that this token claimed and that nobody unselected since, in id order."""
        rows = in_transaction(
            self._engine,
            lambda connection: connection.execute(claim_sql.contacts_of(self._columns), {"token": token}).all(),
        )
        return [contact_of(row, row.selected_at) for row in rows]

    def delivered_before(self, token: UUID, everything: bool) -> dict[UUID, Delivered]:
        """What is known of the destination's copies, of those contacts of the token that it may have.

        `payload_hash` tells what need not be sent again: of all of them with `everything`, else of those that were
        selected only if changed.
        """
        query = delivered_sql.delivered_before(self._columns)
        parameters = {"token": token, "everything": everything}
        rows = in_transaction(self._engine, lambda connection: connection.execute(query, parameters).all())
        return {row.contact_id: delivered_of(row) for row in rows}

    def wanted_addresses(self, addresses: Collection[str]) -> frozenset[str]:
        """Which of these addresses, in their normal forms, some row has that is wanted at the destination."""
        if not addresses:
            return frozenset()
        query = delivered_sql.wanted_with_address(self._columns)
        keys = {"keys": [search_key(each) for each in addresses]}
        rows = in_transaction(self._engine, lambda connection: connection.execute(query, keys).scalars().all())
        return frozenset(map(normal_form, rows)) & frozenset(addresses)

    def shared_copies(self, copies: Mapping[UUID, str]) -> frozenset[UUID]:
        """Which of these contacts have a copy, by its id at the destination, that another wanted row has as well."""
        if not copies:
            return frozenset()
        query = delivered_sql.wanted_with_copy(self._columns)
        parameters = {"remote_ids": sorted(set(copies.values()))}
        rows = in_transaction(self._engine, lambda connection: connection.execute(query, parameters).all())
        holders = Counter(row.remote_id for row in rows)
        own = {row.contact_id for row in rows}
        return frozenset(each for each, copy in copies.items() if holders[copy] > (each in own))

    def journal(
        self, token: UUID, done: Iterable[Attempt], run_id: str | None = None, *, look: bool = True
    ) -> LeaseStatus:
        """Write attempts down and extend the lease; returns how it stands.

        A total of 0: the lease is lost, stop sending. Writing an attempt twice writes it once. An e-mail address
        in a message is masked, whichever destination let it through. What was sent of a contact that another run has
        claimed since may have landed after what that one sent: if it differs, the contact goes out again. With
        `look` those that a person took back are in the answer, which takes a look at each contact of the token.
        """
        done = list(done)
        parameters = {
            **as_rows("done", map(_as_row, done)),
            "token": token,
            "of_run": run_id,
            "lease_seconds": self.lease.total_seconds(),
            "look": look,
        }

        def write(connection: sa.Connection) -> LeaseStatus:
            status = connection.execute(journal_sql.write_down(self._columns), parameters).one()
            if status.not_claimed:
                self._note_late_calls(connection, done, status.not_claimed)
            taken_back = None if status.taken_back is None else frozenset(status.taken_back)
            return LeaseStatus(status.total, float(status.lease_seconds) if status.total else 0.0, taken_back)

        return in_transaction(self._engine, write, PATIENCE_FOR_RESULTS)

    def _note_late_calls(self, connection: sa.Connection, done: Sequence[Attempt], not_claimed: Sequence[UUID]) -> None:
        sent = {each.contact_id: each for each in done if _may_have_landed(each)}
        if ids := sorted(each for each in not_claimed if each in sent):
            connection.execute(chosen_sql.lock_known(self._columns), {"ids": ids})  # as every writer of deliveries does
            late = [{"late_contact": each, "sent_late": sent[each].payload_hash} for each in ids]
            connection.execute(journal_sql.note_late_call(self.crm.name), late)
            connection.execute(journal_sql.send_again(self._columns), late)
            connection.execute(journal_sql.forget_payload(self.crm.name), late)
            fields = [
                {"late_contact": each, "late_fields": fields_as_text(sent[each].remote_fields)}
                for each in ids
                if sent[each].remote_fields
            ]
            if fields:
                connection.execute(journal_sql.note_late_fields(self.crm.name), fields)

    def settle(self, token: UUID) -> Settlement:
        """Turn this token's attempts into transitions and give back what was not sent; a second call changes nothing.

        A result is written only where the contact is as the claim left it; whoever unselected, re-selected, edited or
        deleted it meanwhile wins.
        """
        return self._settling.settle(token)

    def recover(self) -> Settlement:
        """Settle what dead runs left behind: what was journaled is recorded, not sent again; the rest is queued."""
        return self._settling.recover()

    def depth(self, limit: int = 10_000) -> int:
        """How many deliveries are due now, counted up to `limit`."""
        return in_transaction(
            self._engine,
            lambda connection: int(connection.execute(due_sql.due_now(self._columns), {"limit": limit}).scalar_one()),
        )

    def work(self, limit: int) -> Work:
        """Whether a run would find work, with what is due counted up to `limit` at least; asked four times a second.

        The answer may be a quarter of a second old, where another destination's look has brought it.
        """
        return shared_look(self._engine).work(self._columns, limit, self.lease.total_seconds())

    def sample(self, limit: int) -> list[Contact]:
        """Contacts that are due, and contacts that were delivered lately: up to `limit` of each, read by index."""

        def read(connection: sa.Connection) -> list[Contact]:
            found = {}
            for statement in (figures_sql.first_due, figures_sql.delivered_lately):
                rows = connection.execute(statement(self._columns), {"limit": limit})
                found.update({row.id: contact_of(row) for row in rows})
            return list(found.values())

        return in_transaction(self._engine, read)

    def has_live_claim(self, run_id: str) -> bool:
        """Whether this Dagster run has a live claim."""
        return in_transaction(
            self._engine,
            lambda connection: bool(
                connection.execute(due_sql.live_claim_of_run(self.crm.name), {"run_id": run_id}).scalar_one()
            ),
        )

    def needs_recovery(self) -> bool:
        """Whether a claim has run out, or something stands Processing that is not claimed: the next claim fixes it."""
        return in_transaction(
            self._engine,
            lambda connection: bool(
                connection.execute(
                    due_sql.left_behind(self._columns), {"lease_seconds": self.lease.total_seconds()}
                ).scalar_one()
            ),
        )


def _as_row(attempt: Attempt) -> dict[str, Any]:
    return {
        "contact_id": attempt.contact_id,
        "outcome": OUTCOME_NAMES[type(attempt.outcome)],
        "reason": attempt.outcome.reason,
        "message": redacted(attempt.outcome.message),
        "http_status": attempt.http_status,
        "request_id": attempt.request_id,
        "remote_id": attempt.outcome.remote_id if isinstance(attempt.outcome, Synced) else None,
        "milliseconds": attempt.milliseconds,
        "contact_hash": attempt.contact_hash,
        "payload_hash": attempt.payload_hash,
        "remote_fields": fields_as_text(attempt.remote_fields),
        "request_size": attempt.request_size,
    }


def _may_have_landed(attempt: Attempt) -> bool:
    return attempt.made_call and isinstance(attempt.outcome, (Synced, Failed))
