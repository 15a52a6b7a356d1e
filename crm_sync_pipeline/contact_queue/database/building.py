"""Building our indexes on the contacts table, while others read and write it."""

import time
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database import ddl
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable
from crm_sync_pipeline.contact_queue.database.indexes import PartialIndex, is_built
from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError, refused_because

_SETTING_OF = {ddl.CANCELLED: "statement_timeout", ddl.LOCK_NOT_AVAILABLE: "lock_timeout"}


def build(engine: sa.Engine, contacts: ContactsTable, index: PartialIndex, say: ddl.Say) -> None:
    """Build the index where it is missing or half built; DatabaseError, with what to do, where that does not succeed.

    A build waits for each transaction that has written to the table and is still open.
    """
    cut_off = False

    def work() -> None:
        nonlocal cut_off
        found = state(engine, contacts, index)
        if found is False:
            _execute(engine, index.drop)
            if not cut_off:
                say(f"dropped index {index.name}, which an interrupted upgrade left half built")
        cut_off = True
        if not found:
            _execute(engine, index.create)

    _patiently(engine, contacts, index, "build", work, say)
    say(f"built index {index.name}")


def drop(engine: sa.Engine, contacts: ContactsTable, index: PartialIndex, say: ddl.Say) -> None:
    """Drop an index that nothing needs any more, which waits as a build does."""
    _patiently(engine, contacts, index, "drop", lambda: _execute(engine, index.drop), say)
    say(f"dropped index {index.name}, which an older version needed")


def _patiently(
    engine: sa.Engine, contacts: ContactsTable, index: PartialIndex, verb: str, work: Callable[[], None], say: ddl.Say
) -> None:
    """Do `work`; try again where a time-out ends it that can't be switched off, because a pooler takes no options."""
    for pause in ddl.pauses():
        try:
            work()
        except sa.exc.DBAPIError as error:
            cut_off = _time_out(engine, error)
            if not cut_off:
                why = refused_because(error) or "the connection was lost"
                raise DatabaseError(_failed(engine, contacts, index, verb, why)) from None
        else:
            return
        if pause is None:
            break
        who = ddl.in_the_way(engine, contacts.schema, contacts.name)
        say(f"{cut_off} ended the {verb} of index {index.name}; the table is in use by {who}; trying again")
        time.sleep(pause)
    why = f"{cut_off} of the role, the database or the pooler ended each try for {ddl.minutes(ddl.PATIENCE)}"
    with suppress(sa.exc.DBAPIError):
        if state(engine, contacts, index) is False:
            _execute(engine, index.drop)
    raise DatabaseError(_failed(engine, contacts, index, verb, why))


def state(engine: sa.Engine, contacts: ContactsTable, index: PartialIndex) -> bool | None:
    """As is_built says, asked on a connection of its own."""
    with engine.connect() as connection:
        return is_built(connection, contacts, index)


def _execute(engine: sa.Engine, statement: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(statement.replace(":", r"\:")))


def _time_out(engine: sa.Engine, error: sa.exc.DBAPIError) -> str:
    """The time-out that ended a statement, with its value; empty where it was none of the server's.

    A statement can be cancelled by an operator too: then the setting that would have done it is off.
    """
    if ddl.sqlstate(error) == ddl.DEADLOCK:
        return "a deadlock"
    setting = _SETTING_OF.get(ddl.sqlstate(error))
    if setting is None:
        return ""
    with engine.connect() as connection:
        value = connection.execute(sa.select(sa.func.current_setting(setting))).scalar_one()
    return "" if value == "0" else f"{setting} ({value})"


def _failed(engine: sa.Engine, contacts: ContactsTable, index: PartialIndex, verb: str, why: str) -> str:
    """What is left of an index that could not be built or dropped, and what to do."""
    found: bool | None = False
    with suppress(sa.exc.DBAPIError):
        found = state(engine, contacts, index)
    left = {
        None: "Nothing is left of it.",
        False: "What is left of it is half built: it costs writes and serves no query, until an upgrade rebuilds it or "
        f"{index.drop}; removes it.",
        True: "It is still there.",
    }[found]
    statement = index.create if verb == "build" else index.drop
    return (
        f"Could not {verb} index {index.name}: {why}. {left} What was done before stands. Run `crm-sync db upgrade` "
        "again, with a DATABASE_URL that leads to the server itself or to a pooler in session mode, so that it can "
        f"switch time-outs off; or run this there: {statement};"
    )
