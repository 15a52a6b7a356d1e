"""Imports under way: what was sent to the destination at once, and waits for its answer.

An import belongs to the claim token that waits for it. What it holds is neither settled nor recovered by its token: its
rows of `import_contacts` go when its outcomes are journaled, in the same transaction.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.statements.columns import (
    LEASE,
    NOW,
    SIZE,
    TOKEN,
    UUID_TYPE,
    DestinationColumns,
    built_once,
    rows_of,
    seconds,
)
from crm_sync_pipeline.contact_queue.tables import attempts, deliveries, import_contacts, imports, literal

_IMPORT = sa.bindparam("the_import", type_=UUID_TYPE)
_RUN = sa.bindparam("by_run", type_=sa.Text)
# No parameter has a column's name: SQLAlchemy keeps those for itself in an INSERT and an UPDATE.
_IS_UNDER_WAY = imports.c.finished_at.is_(None)
_DELIVERY_OF_ENTRY = sa.and_(
    deliveries.c.contact_id == import_contacts.c.contact_id, deliveries.c.destination == import_contacts.c.destination
)


def is_under_way() -> sa.ColumnElement[bool]:
    """Of a delivery: an import that its own token waits for holds it.

    A question for each row, by primary keys, as is_attempted: the plan of an anti-join rests on statistics, which a
    table that is empty most of the time does not have.
    """
    waiting = (
        sa.select(imports.c.claim_token)
        .select_from(import_contacts.join(imports, imports.c.id == import_contacts.c.import_id))
        .where(
            import_contacts.c.contact_id == deliveries.c.contact_id,
            import_contacts.c.destination == deliveries.c.destination,
        )
        .correlate(deliveries)
        .scalar_subquery()
    )
    return sa.func.coalesce(waiting == deliveries.c.claim_token, sa.false())


@built_once
def is_any_under_way(destination: str) -> sa.Executable:
    """Whether there is any import under way."""
    return sa.select(sa.exists().where(imports.c.destination == literal(destination), _IS_UNDER_WAY))


def is_attempted() -> sa.ColumnElement[bool]:
    """Of a delivery: its token has journaled an attempt at it."""
    attempt = (
        sa.select(attempts.c.id)
        .where(attempts.c.claim_token == deliveries.c.claim_token, attempts.c.contact_id == deliveries.c.contact_id)
        .correlate(deliveries)
        .scalar_subquery()
    )
    return attempt.is_not(None)


@built_once
def page(columns: DestinationColumns) -> sa.Executable:
    """The next :size contacts of :token behind :after, in id order; `goes` tells those that may go into an import.

    They are as the claim left them, and the token has not attempted them. It is their first attempt since they were
    selected: one that failed goes by itself, so that imports can't fail it for its neighbours' sake.
    `delivered_last` is the payload that need not be sent again; NULL for most.
    """
    held = (
        sa.select(deliveries.c.contact_id)
        .where(deliveries.c.claim_token == TOKEN, deliveries.c.contact_id > sa.bindparam("after", type_=UUID_TYPE))
        .order_by(deliveries.c.contact_id)
        .limit(SIZE)
        .cte("held")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    asked_for = deliveries.c.changed_only_at == deliveries.c.selected_at
    skips = sa.or_(sa.bindparam("everything", type_=sa.Boolean), asked_for)
    goes = sa.and_(columns.is_held, deliveries.c.retry_count == 0, ~is_attempted(), ~is_under_way())
    return (
        sa.select(
            held.c.contact_id.label("id"),
            goes.label("goes"),
            sa.case((skips, deliveries.c.payload_hash)).label("delivered_last"),
            *columns.sent_fields(),
        )
        .select_from(
            held.join(
                deliveries,
                sa.and_(
                    deliveries.c.contact_id == held.c.contact_id,
                    deliveries.c.destination == literal(columns.crm.name),
                ),
            ).outerjoin(columns.table, columns.id == held.c.contact_id)
        )
        .order_by(held.c.contact_id)
    )


_ENTRIES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "contact_id": UUID_TYPE,
    "contact_hash": sa.Text(),
    "payload_hash": sa.Text(),
    "address_hash": sa.Text(),
    "message": sa.Text(),
}


@built_once
def begin(destination: str) -> sa.Insert:
    """Write down that :total contacts of :token are about to be sent as import :the_import; a second time, nothing."""
    return (
        pg.insert(imports)
        .values(
            id=_IMPORT,
            destination=destination,
            claim_token=TOKEN,
            run_id=_RUN,
            contacts=sa.bindparam("total", type_=sa.Integer),
            after_process_id=sa.bindparam("after_number", type_=sa.BigInteger),
        )
        .on_conflict_do_nothing(index_elements=["id"])
    )


@built_once
def add_entries(columns: DestinationColumns) -> Any:
    """Put the contacts :entries into import :the_import, if a live lease of :token holds them; returns their ids.

    One that a person took back since it was read stays out. One that an older import has, of a claim that is void by
    now, moves over. Questions for each row instead of joins, whose plan would rest on a guess of how many there are.
    """
    entries = rows_of("entries", _ENTRIES)
    holder = (
        sa.select(deliveries.c.claim_token)
        .where(
            deliveries.c.contact_id == entries.c.contact_id,
            deliveries.c.destination == literal(columns.crm.name),
            deliveries.c.lease_expires_at > NOW,
        )
        .scalar_subquery()
    )
    is_held = sa.select(columns.is_held).where(columns.id == entries.c.contact_id).scalar_subquery()
    held = sa.select(literal(columns.crm.name), _IMPORT, *entries.c).where(holder == TOKEN, is_held)
    insert = pg.insert(import_contacts).from_select(["destination", "import_id", *_ENTRIES], held)
    names = [name for name in ("import_id", *_ENTRIES) if name != "contact_id"]
    moved = {name: insert.excluded[name] for name in names}
    return insert.on_conflict_do_update(index_elements=["contact_id", "destination"], set_=moved).returning(
        import_contacts.c.contact_id
    )


@built_once
def count_entries(destination: str) -> sa.Update:
    """Import :the_import holds :total contacts."""
    return (
        sa.update(imports)
        .values(contacts=sa.bindparam("total", type_=sa.Integer))
        .where(imports.c.id == _IMPORT, imports.c.destination == destination)
    )


@built_once
def note_process(destination: str) -> sa.Update:
    """The destination has called import :the_import its process :number."""
    return (
        sa.update(imports)
        .values(process_id=sa.bindparam("number", type_=sa.BigInteger))
        .where(imports.c.id == _IMPORT, imports.c.destination == destination)
    )


@built_once
def of_token(destination: str) -> sa.Executable:
    """The import under way that :token waits for; at most one."""
    return sa.select(
        imports.c.id,
        imports.c.process_id,
        imports.c.after_process_id,
        imports.c.contacts,
        sa.extract("epoch", NOW - imports.c.posted_at).label("age_seconds"),
    ).where(imports.c.destination == destination, imports.c.claim_token == TOKEN, _IS_UNDER_WAY)


@built_once
def processes_known(destination: str) -> sa.Executable:
    """The destination's processes behind :after_number that are ours."""
    return sa.select(imports.c.process_id).where(
        imports.c.destination == destination,
        imports.c.process_id > sa.bindparam("after_number", type_=sa.BigInteger),
    )


@built_once
def lock(destination: str) -> sa.Executable:
    """Lock import :the_import, if it is under way and :token waits for it still."""
    return (
        sa.select(imports.c.id)
        .where(imports.c.id == _IMPORT, imports.c.destination == destination, imports.c.claim_token == TOKEN)
        .where(_IS_UNDER_WAY)
        .with_for_update()
    )


@built_once
def overtaken(destination: str) -> sa.Executable:
    """Those of import :the_import, if :token waits for it, that it does not hold: another worker took them up."""
    return (
        sa.select(
            import_contacts.c.contact_id,
            import_contacts.c.contact_hash,
            import_contacts.c.payload_hash,
            import_contacts.c.address_hash,
            import_contacts.c.message,
        )
        .select_from(
            import_contacts.join(imports, imports.c.id == import_contacts.c.import_id).outerjoin(
                deliveries, _DELIVERY_OF_ENTRY
            )
        )
        .where(
            imports.c.id == _IMPORT,
            imports.c.destination == destination,
            imports.c.claim_token == TOKEN,
            deliveries.c.claim_token.is_distinct_from(TOKEN),
        )
    )


@built_once
def count_known(destination: str) -> sa.Executable:
    """How many contacts import :the_import holds, and how many of them have one of the addresses :hashes."""
    hashes = sa.bindparam("hashes", type_=pg.ARRAY(sa.Text))
    has_one = import_contacts.c.address_hash == sa.any_(hashes)
    return sa.select(sa.func.count().label("total"), sa.func.count().filter(has_one).label("known")).where(
        import_contacts.c.import_id == _IMPORT, import_contacts.c.destination == destination
    )


@built_once
def journal_some(destination: str) -> sa.Select[Any]:
    """Journal at most :size contacts of import :the_import and take them out of it; returns what they came to, counted.

    :came_to says of an address what its contact came to; every other came to :others_outcome. It is the first attempt
    for all of them, or they would not be in an import. Written so that no plan rests on a guess of how many there are.
    """
    some = (
        sa.select(import_contacts.c.contact_id)
        .where(import_contacts.c.import_id == _IMPORT)
        .order_by(import_contacts.c.contact_id)
        .limit(SIZE)
    )
    done = (
        sa.delete(import_contacts)
        .where(
            import_contacts.c.destination == destination,
            import_contacts.c.import_id == _IMPORT,
            import_contacts.c.contact_id == sa.any_(sa.func.array(some.scalar_subquery(), type_=pg.ARRAY(UUID_TYPE))),
        )
        .returning(*import_contacts.c)
        .cte("done")
    )
    came_to = sa.select(sa.cast(sa.bindparam("came_to", type_=sa.Text), pg.JSONB)).scalar_subquery()
    own = came_to[done.c.address_hash]

    def word(name: str) -> sa.ColumnElement[Any]:
        return sa.func.coalesce(own[name].astext, sa.bindparam(f"others_{name}", type_=sa.Text))

    values = {
        "contact_id": done.c.contact_id,
        "destination": done.c.destination,
        "claim_token": TOKEN,
        "run_id": _RUN,
        "number": sa.literal_column("1"),
        "outcome": word("outcome"),
        "reason": word("reason"),
        "message": sa.func.coalesce(sa.func.nullif(word("message"), ""), done.c.message),
        "request_id": sa.bindparam("called", type_=sa.Text),
        "contact_hash": done.c.contact_hash,
        "payload_hash": done.c.payload_hash,
    }
    written = (
        pg.insert(attempts)
        .from_select(list(values), sa.select(*values.values()))
        .on_conflict_do_nothing(index_elements=["claim_token", "contact_id"])
        .returning(attempts.c.outcome, attempts.c.reason)
        .cte("written")
    )
    return sa.select(written.c.outcome, written.c.reason, sa.func.count().label("total")).group_by(
        written.c.outcome, written.c.reason
    )


@built_once
def is_empty(destination: str) -> sa.Executable:
    """Whether import :the_import holds nobody any more."""
    return sa.select(
        ~sa.exists().where(import_contacts.c.import_id == _IMPORT, import_contacts.c.destination == destination)
    )


@built_once
def finish(destination: str) -> sa.Update:
    """Import :the_import is over. Its row stays, so that its process is known as ours."""
    return (
        sa.update(imports)
        .values(finished_at=NOW)
        .where(imports.c.id == _IMPORT, imports.c.destination == destination, _IS_UNDER_WAY)
    )


@built_once
def release(destination: str) -> sa.Delete:
    """Let go of all that import :the_import holds: its contacts are their token's alone again."""
    return sa.delete(import_contacts).where(
        import_contacts.c.import_id == _IMPORT, import_contacts.c.destination == destination
    )


def _has_live_lease() -> sa.ColumnElement[bool]:
    return (
        sa.exists()
        .select_from(import_contacts.join(deliveries, _DELIVERY_OF_ENTRY))
        .where(
            import_contacts.c.import_id == imports.c.id,
            deliveries.c.claim_token == imports.c.claim_token,
            deliveries.c.lease_expires_at > NOW,
        )
        .correlate(imports)
    )


@built_once
def lock_left_behind(destination: str) -> sa.Executable:
    """Lock the oldest import whose run is gone; one that another run takes up now is skipped."""
    return (
        sa.select(
            imports.c.id,
            imports.c.claim_token,
            imports.c.taken_up,
            sa.extract("epoch", NOW - imports.c.posted_at).label("age_seconds"),
        )
        .where(imports.c.destination == destination, _IS_UNDER_WAY, ~_has_live_lease())
        .order_by(imports.c.posted_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


@built_once
def is_waited_for(destination: str) -> sa.Executable:
    """Whether the lease on import :the_import is alive. Asked under its lock, this sees the truth."""
    return sa.select(
        sa.exists().where(imports.c.id == _IMPORT, imports.c.destination == destination, _has_live_lease())
    )


@built_once
def lock_contacts(columns: DestinationColumns) -> sa.Executable:
    """Lock the contacts of import :the_import in id order, as every writer of their deliveries does first."""
    return (
        sa.select(columns.id)
        .select_from(columns.table.join(import_contacts, import_contacts.c.contact_id == columns.id))
        .where(import_contacts.c.import_id == _IMPORT, import_contacts.c.destination == columns.crm.name)
        .order_by(columns.id)
        .with_for_update(key_share=True, of=columns.table)
    )


@built_once
def move_deliveries(destination: str) -> sa.Update:
    """Put what import :the_import holds under :token with a new lease, unless the lease of :old_token is alive."""
    return (
        sa.update(deliveries)
        .values(claim_token=TOKEN, run_id=_RUN, lease_expires_at=NOW + LEASE)
        .where(
            _DELIVERY_OF_ENTRY,
            import_contacts.c.import_id == _IMPORT,
            deliveries.c.destination == destination,
            deliveries.c.claim_token == sa.bindparam("old_token", type_=UUID_TYPE),
            deliveries.c.lease_expires_at <= NOW,
        )
    )


@built_once
def take_up(destination: str) -> sa.Update:
    """From now on :token waits for import :the_import."""
    return (
        sa.update(imports)
        .values(claim_token=TOKEN, run_id=_RUN, taken_up=imports.c.taken_up + 1)
        .where(imports.c.id == _IMPORT, imports.c.destination == destination)
    )


@built_once
def let_go(destination: str) -> sa.Update:
    """End the lease of what the import of :token holds, so that the next claim takes it up."""
    return (
        sa.update(deliveries)
        .values(lease_expires_at=NOW - seconds(sa.literal(1.0)))
        .where(
            _DELIVERY_OF_ENTRY,
            import_contacts.c.import_id == imports.c.id,
            imports.c.claim_token == TOKEN,
            deliveries.c.claim_token == TOKEN,
            deliveries.c.destination == destination,
            deliveries.c.lease_expires_at > NOW,
        )
    )
