"""The user's contacts table as PostgreSQL's catalogue describes it to our role. Reads no row, and needs no right."""

from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.contacts_table import Column, ContactsTable
from crm_sync_pipeline.domain.crm import Crms
from crm_sync_pipeline.domain.errors import CrmSyncError

LETS_ALL_THROUGH = """
    NOT EXISTS (
        SELECT FROM unnest(string_to_array('{commands}', ',')) AS wanted(command)
        WHERE NOT EXISTS (
            SELECT FROM policies p WHERE p.relation = c.oid AND p.permissive AND p.command IN ('*', wanted.command)
              AND CASE wanted.command WHEN 'a' THEN coalesce(p.checks, p.uses) = 'true'
                                      ELSE p.uses = 'true' AND coalesce(p.checks, 'true') = 'true' END))
    AND NOT EXISTS (
        SELECT FROM policies p WHERE p.relation = c.oid AND NOT p.permissive
          AND p.command = ANY (string_to_array('*,{commands}', ','))
          AND (p.uses <> 'true' OR p.checks <> 'true'))
"""
"""Of the table c: whether policies plainly let our role do `commands` (r, a, w, d) to every row. Needs POLICIES."""

POLICIES = """
    policies AS (
        SELECT polrelid AS relation, polpermissive AS permissive, polcmd::text AS command,
               pg_get_expr(polqual, polrelid) AS uses, pg_get_expr(polwithcheck, polrelid) AS checks
        FROM pg_policy WHERE EXISTS (
            SELECT FROM unnest(polroles) AS role
            WHERE CASE WHEN role = 0 THEN true ELSE pg_has_role(role, 'USAGE') END))
"""
"""A CTE: the policies that apply to our role. Role 0 is PUBLIC."""

_FIND_TABLE = sa.text(
    f"""
    WITH {POLICIES}
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
           row_security_active(c.oid) AND NOT ({LETS_ALL_THROUGH.format(commands="r,w")}) AS hides_rows
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = :schema END
    """
)

_FIND_COLUMNS = sa.text(
    """
    WITH RECURSIVE layers AS (  -- a column's type, and what each domain is made of, down to one that is not a domain
        SELECT a.attnum, a.attname, a.attnotnull, 0 AS depth, a.atttypid AS type, a.atttypmod AS modifier
        FROM pg_attribute a WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT l.attnum, l.attname, l.attnotnull, l.depth + 1, t.typbasetype, t.typtypmod
        FROM layers l JOIN pg_type t ON t.oid = l.type WHERE t.typtype = 'd'
    ), domains AS (
        SELECT l.attnum, array_agg(format_type(l.type, NULL) ORDER BY l.depth) AS names,
               array_agg(format_type(l.type, NULL) ORDER BY l.depth) FILTER (WHERE t.typnotnull) AS strict
        FROM layers l JOIN pg_type t ON t.oid = l.type WHERE t.typtype = 'd' GROUP BY l.attnum
    )
    SELECT l.attname AS name, format_type(l.type, l.modifier) AS type, l.attnotnull AS not_null,
           format_type(l.type, NULL) AS type_name, d.names[1] AS domain, coalesce(d.strict, '{}') AS strict_domains,
           (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
            FROM pg_enum e WHERE e.enumtypid = l.type) AS labels,
           (SELECT pg_get_expr(d.adbin, d.adrelid)
            FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            WHERE d.adrelid = :oid AND d.adnum = l.attnum AND a.attgenerated <> '') AS generated
    FROM layers l JOIN pg_type t ON t.oid = l.type LEFT JOIN domains d ON d.attnum = l.attnum
    WHERE t.typtype <> 'd' ORDER BY l.attnum
    """
)

_RULES = sa.text(
    """
    SELECT r.rulename
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = :name AND r.ev_type = '2' AND r.ev_enabled IN ('O', 'A')
    ORDER BY r.rulename
    """
)

_OTHER_KINDS = {"p": "a partitioned table", "v": "a view", "m": "a materialized view", "f": "a foreign table"}


def find_contacts_table(connection: sa.Connection, name: str, crms: Crms) -> ContactsTable | None:
    """The table `name` (or schema.name) as it is now; None where there is none.

    `crms` are those that it may have columns for. CrmSyncError where it is a view, or another thing whose rows can't be
    locked.
    """
    schema, _, table = name.rpartition(".")
    found = connection.execute(_FIND_TABLE, {"schema": schema or None, "name": table}).one_or_none()
    if found and (kind := _OTHER_KINDS.get(found.kind)):
        raise CrmSyncError(
            f"{name} is {kind}; the queue needs an ordinary table, whose rows it can lock. Nothing was done. Name the "
            "table behind it with CRM_SYNC_CONTACTS_TABLE."
        )
    if found is None or found.kind != "r":
        return None
    columns = {row.name: _column(row) for row in connection.execute(_FIND_COLUMNS, {"oid": found.oid})}
    return ContactsTable(found.schema, found.name, columns, found.hides_rows, crms)


def _column(row: Any) -> Column:
    return Column(
        row.name,
        row.type,
        row.not_null or bool(row.strict_domains),
        row.type_name,
        tuple(row.labels) if row.labels else None,
        row.domain,
        tuple(row.strict_domains),
        row.generated,
    )


def rules_on_update(connection: sa.Connection, contacts: ContactsTable) -> list[str]:
    """The names of the rules that rewrite an UPDATE of the contacts table, whether they add to it or replace it."""
    key = {"schema": contacts.schema, "name": contacts.name}
    return list(connection.execute(_RULES, key).scalars())
