"""May our role do what deliveries need? Rights on both schemas, row-level security, servers that take no writes."""

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.catalogue import LETS_ALL_THROUGH, POLICIES
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable, quoted
from crm_sync_pipeline.contact_queue.database.finding import Finding
from crm_sync_pipeline.contact_queue.database.tables import SCHEMA, metadata

OUR_TABLES = [table.name for table in metadata.sorted_tables]

_ON_CONTACTS = sa.text(
    """
    SELECT current_user AS role, has_schema_privilege(n.oid, 'USAGE') AS uses_schema,
           has_table_privilege(c.oid, 'SELECT') AND coalesce(
               (SELECT bool_and(has_column_privilege(c.oid, a.attnum, 'UPDATE')) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attname = ANY(:written)), true) AS uses_table
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = :name AND c.relkind = 'r'
    """
)

_ON_OURS = sa.text(
    """
    SELECT current_user AS role, pg_get_userbyid(n.nspowner) AS owner, c.relname AS "table",
           has_schema_privilege(n.oid, 'USAGE') AS uses_schema,
           ARRAY(SELECT wanted FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS wanted
                 WHERE NOT has_table_privilege(c.oid, wanted)) AS missing
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = ANY(:ours) AND c.relkind = 'r' ORDER BY c.relname
    """
)

_HIDING = sa.text(
    f"""
    WITH {POLICIES}
    SELECT current_user AS role, n.nspname AS schema, c.relname AS name,
           EXISTS (SELECT FROM policies p WHERE p.relation = c.oid AND NOT p.permissive) AS is_restricted
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND row_security_active(c.oid)
      AND CASE WHEN n.nspname = :schema AND c.relname = :name THEN NOT ({LETS_ALL_THROUGH.format(commands="r,w")})
               WHEN n.nspname = :ours_in AND c.relname = ANY(:ours)
                   THEN NOT ({LETS_ALL_THROUGH.format(commands="r,a,w,d")})
               ELSE false END
    ORDER BY n.nspname <> :schema, c.relname
    """
)

_WRITABLE = sa.text(
    """
    SELECT pg_is_in_recovery() AS is_standby, setting = 'on' AS is_read_only, source, current_user AS role,
           current_database() AS database
    FROM pg_settings WHERE name = 'default_transaction_read_only'
    """
)


def check_rights(connection: sa.Connection, contacts: ContactsTable, written: Iterable[str]) -> list[Finding]:
    """What our role may do. `written`: the columns of the contacts table that are updated."""
    return [
        _on_contacts(connection, contacts, written),
        check_ours(connection),
        *_row_level_security(connection, contacts),
        check_writable(connection),
    ]


def _on_contacts(connection: sa.Connection, contacts: ContactsTable, written: Iterable[str]) -> Finding:
    key = {"schema": contacts.schema, "name": contacts.name, "written": list(written)}
    found = connection.execute(_ON_CONTACTS, key).one_or_none()
    if found is None:
        return Finding("Rights to read and update", False, f"{contacts.qualified} is gone")
    grants = grants_on_contacts(contacts, found.role, schema=not found.uses_schema, table=not found.uses_table)
    return Finding("Rights to read and update", not grants, "missing" if grants else "", " ".join(grants))


def grants_on_contacts(contacts: ContactsTable, role: str, *, schema: bool, table: bool) -> list[str]:
    """The statements that give `role` what it needs of the contacts table and of its schema."""
    grants = [f"GRANT USAGE ON SCHEMA {quoted(contacts.schema)} TO {quoted(role)};"] if schema else []
    return grants + ([f"GRANT SELECT, UPDATE ON {contacts.qualified} TO {quoted(role)};"] if table else [])


def check_ours(connection: sa.Connection) -> Finding:
    """What our role may do with our own schema and the tables that are in it."""
    subject = f"Rights on schema {SCHEMA}"
    rows = connection.execute(_ON_OURS, {"schema": SCHEMA, "ours": OUR_TABLES}).all()
    missing = ["USAGE of the schema"] if rows and not rows[0].uses_schema else []
    lacking: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        lacking[", ".join(row.missing)].append(row.table)
    missing += [f"{rights} on {', '.join(tables)}" for rights, tables in lacking.items() if rights]
    if not missing:
        return Finding(subject, True)
    role, owner = rows[0].role, rows[0].owner
    return Finding(subject, False, f"role {role} lacks {'; '.join(missing)}", " ".join(grants_on_ours(role, owner)))


def grants_on_ours(role: str, owner: str | None) -> list[str]:
    """The statements that give `role` what it needs of our tables, also of those that `owner` adds later.

    Numbers that identity columns give need no right on their sequences.
    """
    rights, whom = "SELECT, INSERT, UPDATE, DELETE", quoted(role)
    now = [
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {whom};",
        f"GRANT {rights} ON ALL TABLES IN SCHEMA {SCHEMA} TO {whom};",
    ]
    if owner is None:
        return now
    later = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(owner)} IN SCHEMA {SCHEMA} GRANT {rights} ON TABLES TO {whom};"
    return [*now, later]


def _row_level_security(connection: sa.Connection, contacts: ContactsTable) -> list[Finding]:
    key = {"schema": contacts.schema, "name": contacts.name, "ours_in": SCHEMA, "ours": OUR_TABLES}
    found = connection.execute(_HIDING, key).all()
    if not found:
        return [Finding("Row-level security", True)]
    findings = []
    for row in found:
        table, role = f"{quoted(row.schema)}.{quoted(row.name)}", quoted(row.role)
        follows = (
            f"{SCHEMA} can't keep its books"
            if row.schema == SCHEMA
            else "contacts that it can't see or change are never delivered"
        )
        says = (
            f"it applies to role {row.role}, and policies do not plainly let it see and change every row of {table}: "
            f"{follows}"
        )
        policy = f"CREATE POLICY {quoted(f'{SCHEMA}_{row.role}')} ON {table} TO {role} USING (true) WITH CHECK (true);"
        bypass = f"ALTER ROLE {role} BYPASSRLS;"  # the only way past a restrictive policy that is to stay
        remedy = bypass if row.is_restricted else f"{policy} -- or: {bypass}"
        findings.append(Finding(f"Row-level security of {table}", False, says, remedy))
    return findings


def check_writable(connection: sa.Connection) -> Finding:
    """Whether this server takes writes, as far as it says so before one is tried."""
    subject = "Writing"
    found = connection.execute(_WRITABLE).one()
    if found.is_standby:
        return Finding(
            subject,
            False,
            "this server is a standby, which only answers questions: no contact can be claimed",
            "set DATABASE_URL to the primary; where it names several hosts, add target_session_attrs=read-write",
        )
    if not found.is_read_only:
        return Finding(subject, True)
    role, database = quoted(found.role), quoted(found.database)
    whose, remedy = {
        "database": (f"database {found.database}", f"ALTER DATABASE {database} RESET"),
        "user": (f"role {found.role}", f"ALTER ROLE {role} RESET"),
        "database user": (
            f"role {found.role} in database {found.database}",
            f"ALTER ROLE {role} IN DATABASE {database} RESET",
        ),
        "global": ("all roles", "ALTER ROLE ALL RESET"),
        "client": ("this connection", "take out of DATABASE_URL, its service file or PGOPTIONS:"),
    }.get(found.source, ("the whole server", "switch off in the server's configuration:"))
    return Finding(
        subject,
        False,
        f"default_transaction_read_only is on for {whose}, so no contact can be claimed (some hosts set it when the "
        "disk is full)",
        f"{remedy} default_transaction_read_only" + (";" if remedy.startswith("ALTER") else ""),
    )
