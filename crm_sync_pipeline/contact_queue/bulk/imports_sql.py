"""Imports in progress: what was sent to the destination at once, and waits for its answer.

An import belongs to the claim token that waits for it. What it holds is neither settled nor recovered by its token: its
rows of `import_contacts` go when its outcomes are journaled, in the same transaction.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import (
    NOW,
    SIZE,
    TOKEN,
    UUID_TYPE,
    DestinationColumns,
    built_once,
    opaque_to_planner,
    rows_of,
    seconds,
)
from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.contact_queue.database.tables import attempts, deliveries, import_contacts, imports
from crm_sync_pipeline.contact_queue.worker.pending_imports_sql import DELIVERY_OF_ENTRY, IS_IN_PROGRESS
from crm_sync_pipeline.domain.outcome import WITHOUT_ITS_NUMBER

IMPORT = sa.bindparam("the_import", type_=UUID_TYPE)
RUN = sa.bindparam("by_run", type_=sa.Text)
# No parameter has a column's name: SQLAlchemy keeps those for itself in an INSERT and an UPDATE.

OPEN_FOR_SECONDS = 3600.0
"""How long after it was given up an import may turn out to have arrived."""

_ENTRIES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "contact_id": UUID_TYPE,
    "contact_hash": sa.Text(),
    "payload_hash": sa.Text(),
    "address_hash": sa.Text(),
    "message": sa.Text(),
    "remote_fields": sa.Text(),
}


@built_once
def begin(destination: str) -> sa.Insert:
    """Write down that :total contacts of :token are about to be sent as import :the_import; a second time, nothing."""
    return (
        pg.insert(imports)
        .values(
            id=IMPORT,
            destination=destination,
            claim_token=TOKEN,
            run_id=RUN,
            contacts=sa.bindparam("total", type_=sa.Integer),
            after_process_id=sa.bindparam("after_number", type_=sa.BigInteger),
        )
        .on_conflict_do_nothing(index_elements=["id"])
    )


@built_once
def add_entries(columns: DestinationColumns) -> Any:
    """Put the contacts :entries into import :the_import, if they are claimed by :token; returns their ids.

    One that a person took back since it was read stays out. One that an older import has, of a claim that is void by
    now, moves over. Questions for each row instead of joins, whose plan would rest on a guess of how many there are.
    """
    entries = rows_of("entries", _ENTRIES)
    its_token = (
        sa.select(deliveries.c.claim_token)
        .where(
            deliveries.c.contact_id == entries.c.contact_id,
            deliveries.c.destination == literal(columns.crm.name),
            opaque_to_planner(deliveries.c.lease_expires_at > NOW),
        )
        .scalar_subquery()
    )
    is_claimed = sa.select(columns.is_claimed).where(columns.id == entries.c.contact_id).scalar_subquery()
    claimed = sa.select(literal(columns.crm.name), IMPORT, *entries.c).where(its_token == TOKEN, is_claimed)
    insert = pg.insert(import_contacts).from_select(["destination", "import_id", *_ENTRIES], claimed)
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
        .where(imports.c.id == IMPORT, imports.c.destination == destination)
    )


@built_once
def note_process(destination: str) -> sa.Update:
    """The destination has called import :the_import its process :number."""
    return (
        sa.update(imports)
        .values(process_id=sa.bindparam("number", type_=sa.BigInteger))
        .where(imports.c.id == IMPORT, imports.c.destination == destination)
    )


@built_once
def of_token(destination: str) -> sa.Executable:
    """The import in progress that :token waits for; at most one."""
    return sa.select(
        imports.c.id,
        imports.c.process_id,
        imports.c.after_process_id,
        imports.c.contacts,
        sa.extract("epoch", NOW - imports.c.posted_at).label("age_seconds"),
    ).where(imports.c.destination == destination, imports.c.claim_token == TOKEN, IS_IN_PROGRESS)


@built_once
def processes_of_others(destination: str) -> sa.Executable:
    """The destination's processes behind :after_number that are other imports of ours than :the_import.

    NULL for each that may have become any process since: it has no number, and was not over long before ours began.
    """
    mine = imports.alias("mine")
    began = sa.select(mine.c.posted_at).where(mine.c.id == IMPORT).scalar_subquery()
    is_open = sa.or_(IS_IN_PROGRESS, imports.c.finished_at > began - seconds(sa.literal(OPEN_FOR_SECONDS)))
    return sa.select(imports.c.process_id).where(
        imports.c.destination == destination,
        imports.c.id != IMPORT,
        sa.or_(
            imports.c.process_id > sa.bindparam("after_number", type_=sa.BigInteger),
            sa.and_(imports.c.process_id.is_(None), is_open),
        ),
    )


@built_once
def lock(destination: str) -> sa.Executable:
    """Lock import :the_import, if it is in progress and :token waits for it still."""
    return (
        sa.select(imports.c.id)
        .where(imports.c.id == IMPORT, imports.c.destination == destination, imports.c.claim_token == TOKEN)
        .where(IS_IN_PROGRESS)
        .with_for_update()
    )


@built_once
def overtaken(destination: str) -> sa.Executable:
    """Those of import :the_import, if :token waits for it, that it has not claimed any more: another worker has."""
    return (
        sa.select(
            import_contacts.c.contact_id,
            import_contacts.c.contact_hash,
            import_contacts.c.payload_hash,
            import_contacts.c.address_hash,
            import_contacts.c.message,
            import_contacts.c.remote_fields,
        )
        .select_from(
            import_contacts.join(imports, imports.c.id == import_contacts.c.import_id).outerjoin(
                deliveries, DELIVERY_OF_ENTRY
            )
        )
        .where(
            imports.c.id == IMPORT,
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
        import_contacts.c.import_id == IMPORT, import_contacts.c.destination == destination
    )


@built_once
def journal_some(destination: str) -> sa.Select[Any]:
    """Journal at most :size contacts of import :the_import and take them out of it; returns their results, counted.

    `lacks_number` tells those whose message says that they were sent without their phone number.
    :results has the results by address; that of every other contact is :others_outcome. It is the first attempt
    for all of them, or they would not be in an import. Written so that no plan rests on a guess of how many there are.
    """
    some = (
        sa.select(import_contacts.c.contact_id)
        .where(import_contacts.c.import_id == IMPORT)
        .order_by(import_contacts.c.contact_id)
        .limit(SIZE)
    )
    done = (
        sa.delete(import_contacts)
        .where(
            import_contacts.c.destination == destination,
            import_contacts.c.import_id == IMPORT,
            import_contacts.c.contact_id == sa.any_(sa.func.array(some.scalar_subquery(), type_=pg.ARRAY(UUID_TYPE))),
        )
        .returning(*import_contacts.c)
        .cte("done")
    )
    results = sa.select(sa.cast(sa.bindparam("results", type_=sa.Text), pg.JSONB)).scalar_subquery()
    own = results[done.c.address_hash]

    def word(name: str) -> sa.ColumnElement[Any]:
        return sa.func.coalesce(own[name].astext, sa.bindparam(f"others_{name}", type_=sa.Text))

    values = {
        "contact_id": done.c.contact_id,
        "destination": done.c.destination,
        "claim_token": TOKEN,
        "run_id": RUN,
        "number": sa.literal_column("1"),
        "outcome": word("outcome"),
        "reason": word("reason"),
        "message": sa.func.coalesce(sa.func.nullif(word("message"), ""), done.c.message),
        "request_id": sa.bindparam("called", type_=sa.Text),
        "contact_hash": done.c.contact_hash,
        "payload_hash": done.c.payload_hash,
        "remote_fields": sa.case((word("outcome") != "rejected", done.c.remote_fields)),
    }
    written = (
        pg.insert(attempts)
        .from_select(list(values), sa.select(*values.values()).where(word("outcome") != "deferred"))
        .on_conflict_do_nothing(index_elements=["claim_token", "contact_id"])
        .returning(attempts.c.outcome, attempts.c.reason, attempts.c.message)
        .cte("written")
    )
    lacks_number = sa.func.strpos(written.c.message, literal(WITHOUT_ITS_NUMBER)) > 0
    result = (written.c.outcome, written.c.reason, lacks_number.label("lacks_number"))
    return sa.select(*result, sa.func.count().label("total")).group_by(*result)


@built_once
def is_empty(destination: str) -> sa.Executable:
    """Whether import :the_import holds nobody any more."""
    return sa.select(
        ~sa.exists().where(import_contacts.c.import_id == IMPORT, import_contacts.c.destination == destination)
    )


@built_once
def finish(destination: str) -> sa.Update:
    """Import :the_import is over. Its row stays, so that its process is known as ours."""
    return (
        sa.update(imports)
        .values(finished_at=NOW)
        .where(imports.c.id == IMPORT, imports.c.destination == destination, IS_IN_PROGRESS)
    )


@built_once
def remove_entries(destination: str) -> sa.Delete:
    """Remove all entries of import :the_import: its contacts belong to their token alone again."""
    return sa.delete(import_contacts).where(
        import_contacts.c.import_id == IMPORT, import_contacts.c.destination == destination
    )
