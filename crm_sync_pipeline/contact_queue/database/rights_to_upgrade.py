"""Who must run `crm-sync db upgrade`, where our role may not do what is left to do."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable, quoted
from crm_sync_pipeline.contact_queue.database.rights import grants_on_contacts, grants_on_ours
from crm_sync_pipeline.contact_queue.database.tables import SCHEMA


@dataclass(frozen=True, slots=True)
class Tasks:
    """What an upgrade has to do."""

    creates_contacts: bool
    creates_schema: bool
    migrates: bool
    changes_indexes: bool

    @property
    def are_any(self) -> bool:
        """Whether anything is left to do."""
        return any(astuple(self))


_ABOUT = sa.text(
    """
    SELECT CAST(:role AS text) AS role, current_database() AS database, pg_get_userbyid(d.datdba) AS database_owner,
           has_database_privilege(:role, d.oid, 'CREATE') AS creates_schemas,
           n.nspname AS schema, has_schema_privilege(:role, n.oid, 'USAGE') AS uses_schema,
           has_schema_privilege(:role, n.oid, 'CREATE') AS creates_in_schema,
           pg_get_userbyid(c.relowner)::text AS table_owner, pg_has_role(:role, c.relowner, 'USAGE') AS owns_table,
           has_table_privilege(:role, c.oid, 'SELECT') AND has_table_privilege(:role, c.oid, 'UPDATE') AS uses_table,
           has_schema_privilege(:role, o.oid, 'CREATE') AS creates_in_ours,
           ARRAY(SELECT DISTINCT pg_get_userbyid(t.relowner)::text FROM pg_class t
                 WHERE t.relnamespace = o.oid AND t.relkind = 'r') AS owners_of_ours,
           EXISTS (SELECT FROM pg_class t WHERE t.relnamespace = o.oid AND t.relkind = 'r'
                   AND NOT pg_has_role(:role, t.relowner, 'USAGE')) AS owns_not_all_of_ours
    FROM pg_database d
    LEFT JOIN pg_namespace n ON n.nspname = coalesce(CAST(:schema AS text), current_schema())
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = :name AND c.relkind = 'r'
    LEFT JOIN pg_namespace o ON o.nspname = :ours
    WHERE d.datname = current_database()
    """
)


def refusal(connection: sa.Connection, contacts_name: str, contacts: ContactsTable | None, tasks: Tasks) -> str:
    """Why our role can't do this, who can, and what to grant our role afterwards. Empty where it can."""
    schema, _, name = contacts_name.rpartition(".")
    if contacts is not None:
        schema, name = contacts.schema, contacts.name

    def about(role: str) -> Any:
        return connection.execute(_ABOUT, {"role": role, "schema": schema or None, "name": name, "ours": SCHEMA}).one()

    us = about(connection.execute(sa.text("SELECT current_user")).scalar_one())
    needs_table, needs_ours = tasks.changes_indexes and us.table_owner is not None, tasks.migrates
    theirs = []
    if needs_table and not us.owns_table:
        theirs.append(f"the contacts table belongs to role {us.table_owner}")
    if needs_ours and us.owns_not_all_of_ours:
        theirs.append(f"the tables of schema {SCHEMA} belong to role {' and role '.join(us.owners_of_ours)}")
    if not theirs:
        grants = " ".join(_lacking(us, schema, tasks))
        return grants and (
            f"Nothing was changed: role {us.role} lacks rights that an upgrade needs. Let the owner of database "
            f"{us.database}, which is role {us.database_owner}, or a superuser run: {grants} Then run it again."
        )
    owners = sorted({*([us.table_owner] if needs_table else []), *(us.owners_of_ours if needs_ours else [])})
    runner = owners[0] if len(owners) == 1 else None
    before = " ".join(_lacking(about(runner), schema, tasks)) if runner else ""
    afterwards = grants_on_ours(us.role, runner)
    if contacts is not None:
        table, its_schema = not us.uses_table, not us.uses_schema
        afterwards += grants_on_contacts(contacts, us.role, schema=its_schema, table=table)
    who = f"role {runner}" if runner else f"a role that is a member of {' and '.join(owners)}"
    sentences = [
        f"Nothing was changed: {' and '.join(theirs)}, so role {us.role} may not do what is left to do.",
        f"Run `crm-sync db upgrade` as {who}, or as a superuser.",
        f"Let a superuser run this before: {before}" if before else "",
        f"For role {us.role}, which delivers, run this afterwards: {' '.join(afterwards)}",
    ]
    return " ".join(filter(None, sentences))


def _lacking(about: Any, schema: str, tasks: Tasks) -> Iterator[str]:
    """The statements that give a role what it lacks, besides what belongs to others."""
    role = quoted(about.role)
    if not about.creates_schemas and (tasks.creates_schema or (tasks.creates_contacts and schema and not about.schema)):
        yield f"GRANT CREATE ON DATABASE {quoted(about.database)} TO {role};"
    if about.creates_in_schema is False and tasks.changes_indexes:
        yield f"GRANT CREATE ON SCHEMA {quoted(about.schema)} TO {role};"
    if about.creates_in_ours is False and tasks.migrates:
        yield f"GRANT USAGE, CREATE ON SCHEMA {SCHEMA} TO {role};"
