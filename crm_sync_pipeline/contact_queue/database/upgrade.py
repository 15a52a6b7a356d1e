"""`crm-sync db upgrade`: schema crm_sync by Alembic, the indexes, and a contacts table where there is none."""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from crm_sync_pipeline.contact_queue.database import building
from crm_sync_pipeline.contact_queue.database.catalogue import find_contacts_table
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable, quoted
from crm_sync_pipeline.contact_queue.database.creating import create_contacts
from crm_sync_pipeline.contact_queue.database.ddl import Say, change, one_at_a_time
from crm_sync_pipeline.contact_queue.database.indexes import PartialIndex, indexes_for, is_built, outdated_indexes_for
from crm_sync_pipeline.contact_queue.database.rights import check_ours, check_writable
from crm_sync_pipeline.contact_queue.database.rights_to_upgrade import Tasks, refusal
from crm_sync_pipeline.contact_queue.database.schema import SchemaError, faults_of, missing_of_ours, unusable_because
from crm_sync_pipeline.contact_queue.database.tables import SCHEMA
from crm_sync_pipeline.domain.crm import Crms

__all__ = ["Say", "upgrade"]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is left to do. `version`: of schema crm_sync, None where it has none or where it is hidden from our role."""

    contacts: ContactsTable | None
    has_schema: bool
    version: str | None
    hides_version: bool
    newest: str | None
    to_build: tuple[PartialIndex, ...]
    to_drop: tuple[PartialIndex, ...]

    @property
    def tasks(self) -> Tasks:
        return Tasks(
            creates_contacts=self.contacts is None,
            creates_schema=not self.has_schema,
            migrates=self.version != self.newest,
            changes_indexes=self.contacts is None or bool(self.to_build or self.to_drop),
        )


def upgrade(engine: sa.Engine, contacts_name: str, crms: Crms, say: Say = lambda _line: None) -> ContactsTable:
    """Bring the database up to date; returns the contacts table. Safe to run twice, and by two processes at once.

    A new contacts table gets the columns of all `crms`. `engine` is one that engine_without_time_outs made; behind a
    pooler it needs two connections at a time. `say` gets each step that changed something. SchemaError, before anything
    is changed, where the table can't be used as it is, or our role may not do what is left to do.
    """
    plan = _look(engine, contacts_name, crms)
    if plan.contacts is not None and not plan.tasks.are_any:
        return plan.contacts  # without the lock: nothing is changed
    with one_at_a_time(engine, say):
        plan = _look(engine, contacts_name, crms)
        contacts = plan.contacts
        if contacts is None:
            contacts = change(engine, SCHEMA, lambda connection: create_contacts(connection, contacts_name, crms), say)
            say(f"created table {contacts.qualified}")
        _migrate(engine, plan, say)
        to_build, to_drop = _indexes(engine, contacts)
        for index in to_build:
            building.build(engine, contacts, index, say)
        for index in to_drop:
            building.drop(engine, contacts, index, say)
        return contacts


def _look(engine: sa.Engine, contacts_name: str, crms: Crms) -> _Plan:
    """What is left to do; SchemaError where that can't be done, or would be of no use."""
    with engine.connect() as connection:
        contacts = find_contacts_table(connection, contacts_name, crms)
        if contacts is not None and (faults := unusable_because(connection, contacts)):
            raise SchemaError(f"Nothing was changed. {' '.join(str(fault) for fault in faults)}")
        has_schema, version, hides_version = _version(connection)
        newest = ScriptDirectory.from_config(_alembic()).get_current_head()
    to_build, to_drop = _indexes(engine, contacts) if contacts else ((), ())
    plan = _Plan(contacts, has_schema, version, hides_version, newest, to_build, to_drop)
    if plan.tasks.are_any:
        _require_rights(engine, contacts_name, plan)
    return plan


def _require_rights(engine: sa.Engine, contacts_name: str, plan: _Plan) -> None:
    tasks = plan.tasks
    with engine.connect() as connection:
        if plan.hides_version and not (tasks.changes_indexes or missing_of_ours(connection)):
            ours = check_ours(connection)
            role = connection.execute(sa.text("SELECT current_user")).scalar_one()
            grant = f"Fix it with: GRANT SELECT ON {SCHEMA}.alembic_version TO {quoted(role)};"
            what = grant if ours.ok else ours.says()
            raise SchemaError(f"Nothing was changed: it can't be seen whether anything is left to do. {what}")
        writable = check_writable(connection)
        if not writable.ok:
            raise SchemaError(f"Nothing was changed. {writable.says()}")
        if said := refusal(connection, contacts_name, plan.contacts, tasks):
            raise SchemaError(said)


def _migrate(engine: sa.Engine, plan: _Plan, say: Say) -> None:
    def work(connection: sa.Connection) -> None:
        if not plan.has_schema:
            connection.execute(sa.schema.CreateSchema(SCHEMA))
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    if plan.has_schema and plan.version == plan.newest:
        return
    change(engine, SCHEMA, work, say)
    if not plan.has_schema:
        say(f"created schema {SCHEMA}")
    say(f"migrated schema {SCHEMA} from {plan.version or 'nothing'} to {plan.newest}")


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations").replace("%", "%%"))
    return config


_VERSION_TABLE = sa.text(
    """
    SELECT n.oid IS NOT NULL AS has_schema, c.oid IS NOT NULL AS has_version,
           c.oid IS NOT NULL AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
               AS is_readable
    FROM (SELECT) AS one LEFT JOIN pg_namespace n ON n.nspname = :schema
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'alembic_version'
    """
)


def _version(connection: sa.Connection) -> tuple[bool, str | None, bool]:
    """Whether there is schema crm_sync, its version, and whether that is hidden from our role."""
    found = connection.execute(_VERSION_TABLE, {"schema": SCHEMA}).one()
    if not found.is_readable:
        return found.has_schema, None, found.has_version
    version = connection.execute(sa.text(f"SELECT version_num FROM {SCHEMA}.alembic_version")).scalar_one_or_none()
    return True, version, False


def _indexes(engine: sa.Engine, contacts: ContactsTable) -> tuple[tuple[PartialIndex, ...], tuple[PartialIndex, ...]]:
    """Those that are missing or half built, and those that nothing needs any more.

    A CRM with a fault gets none: its columns may be missing, and `db check` names what fixes them.
    """
    sound = [crm for crm in contacts.served if not faults_of(contacts, crm)]
    with engine.connect() as connection:

        def are(indexes: tuple[PartialIndex, ...], *states: bool | None) -> tuple[PartialIndex, ...]:
            return tuple(index for index in indexes if is_built(connection, contacts, index) in states)

        return (
            tuple(index for crm in sound for index in are(indexes_for(contacts, crm), False, None)),
            tuple(index for crm in sound for index in are(outdated_indexes_for(contacts, crm), True, False)),
        )
