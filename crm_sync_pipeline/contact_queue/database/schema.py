"""Is the database what we need? Field by field, each fault with the statement that fixes it."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.catalogue import rules_on_update
from crm_sync_pipeline.contact_queue.database.contacts_table import Column, ContactsTable, quoted
from crm_sync_pipeline.contact_queue.database.finding import Finding
from crm_sync_pipeline.contact_queue.database.indexes import indexes_for, is_built
from crm_sync_pipeline.contact_queue.database.rights import check_rights
from crm_sync_pipeline.contact_queue.database.sent_columns import copying, findings_of
from crm_sync_pipeline.contact_queue.database.tables import SCHEMA, metadata
from crm_sync_pipeline.contact_queue.database.transactions import in_transaction
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.transition import ERROR_LIMIT, ProcessingStatus, SyncStatus

LONGEST_ADDRESS = 254
"""Characters of an e-mail address, by RFC 5321."""


class SchemaError(CrmSyncError):
    """The contacts table or our own schema lacks something."""


@dataclass(frozen=True, slots=True)
class Field:
    """What a column must be. `default` and `type` write the statement that adds it; `nullable` None: either will do.

    One that is not `convertible` can't be given another type: others refer to its values.
    """

    name: str
    type: str
    nullable: bool | None
    fits: Callable[[Column], bool]
    default: str | None = None
    labels: tuple[str, ...] = ()
    convertible: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field, and the SQL that fixes it; empty where nothing does."""

    field: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. Fix it with: {self.remedy}" if self.remedy else f"{self.what}."


def _is_text(shortest: int) -> Callable[[Column], bool]:
    def fits(column: Column) -> bool:
        limit = re.fullmatch(r"character varying\((\d+)\)", column.type)
        free = column.type in ("text", "character varying") or column.type.rpartition(".")[2] == "citext"
        return free or bool(limit and int(limit[1]) >= shortest)

    return fits


def _is_one_of(*types: str) -> Callable[[Column], bool]:
    return lambda column: column.type in types


def _is_time(column: Column) -> bool:
    return re.fullmatch(r"timestamp(\(\d\))? with time zone", column.type) is not None


def _is_status(column: Column) -> bool:
    return column.labels is not None or _is_text(10)(column)


_WRITTEN_SYNC = tuple(status.value for status in SyncStatus if status is not SyncStatus.Skipped)
_WRITTEN_PROCESSING = tuple(status.value for status in ProcessingStatus)

_SHARED = (
    Field("id", "uuid", False, _is_one_of("uuid"), "gen_random_uuid()", convertible=False),
    Field("email", "text", None, _is_text(3)),  # a contact without an address fails, and says so
    Field("updated_at", "timestamptz", False, _is_time, "now()"),
    Field("retry_count", "integer", False, _is_one_of("integer", "smallint", "bigint"), "0"),
    Field("next_retry_at", "timestamptz", True, _is_time),
    Field("last_retry_at", "timestamptz", True, _is_time),
    Field("last_failed_crm", "varchar", True, _is_text(7)),
)


def required_fields(crm: Crm) -> tuple[Field, ...]:
    """The columns without which nothing can be delivered to this CRM."""
    return (
        Field(crm.sync_status, "text", False, _is_status, "'New'", _WRITTEN_SYNC),
        Field(crm.processing_status, "text", True, _is_status, None, _WRITTEN_PROCESSING),
        Field(crm.processing_error, "text", True, _is_text(ERROR_LIMIT)),
        Field(crm.id_column, "varchar", True, _is_text(LONGEST_ADDRESS if crm.holds_address else 64)),
        *_SHARED,
    )


def faults_of(contacts: ContactsTable, crm: Crm) -> list[Fault]:
    """What the contacts table lacks for this CRM; empty when all is well. Reads no rows."""
    return [fault for field in required_fields(crm) for fault in _faults_of_field(contacts, field)]


def _faults_of_field(contacts: ContactsTable, field: Field) -> Iterator[Fault]:
    alter = f"ALTER TABLE {contacts.qualified}"
    name, column = quoted(field.name), contacts.columns.get(field.name)
    where = f"Column {field.name} of {contacts.qualified}"
    if column is None:
        default = f" DEFAULT {field.default}" if field.default else ""
        not_null = " NOT NULL" if field.nullable is False else ""
        remedy = copying(contacts, field.name) if field.name == "email" else ""  # an empty one would help nobody
        remedy = remedy or f"{alter} ADD COLUMN {name} {field.type}{not_null}{default};"
        yield Fault(field.name, f"{where} is missing", remedy)
        return
    if not field.fits(column) and not field.convertible:
        yield Fault(
            field.name,
            f"{where} is {column.described}, but must be {field.type}: crm-sync can't use this table, and does not "
            "convert ids, because other tables and programs may refer to them. Name a table whose id is a uuid with "
            "CRM_SYNC_CONTACTS_TABLE",
            "",
        )
        return
    if not field.fits(column):
        has_no_zone = field.type == "timestamptz" and column.type.startswith("timestamp")
        using = f"{name} AT TIME ZONE 'UTC'" if has_no_zone else f"{name}::{field.type}"
        default = f", ALTER COLUMN {name} SET DEFAULT {field.default}" if field.default else ""
        yield Fault(
            field.name,
            f"{where} is {column.described}, but must be {field.type}",
            # the old default goes first: PostgreSQL casts only some of them
            f"{alter} ALTER COLUMN {name} DROP DEFAULT, ALTER COLUMN {name} TYPE {field.type} USING {using}{default};",
        )
    if column.labels is not None:
        for label in field.labels:
            if label not in column.labels:
                yield Fault(
                    field.name,
                    f"{where} has the enum {column.type_name}, which lacks the label '{label}' (case matters)",
                    f"ALTER TYPE {column.type_name} ADD VALUE '{label}';",
                )
    if field.nullable and column.not_null:
        domains = "".join(f"ALTER DOMAIN {domain} DROP NOT NULL; " for domain in column.strict_domains)
        yield Fault(field.name, f"{where} must allow NULL", f"{domains}{alter} ALTER COLUMN {name} DROP NOT NULL;")
    if field.nullable is False and not column.not_null:
        fill = (
            f"UPDATE {contacts.qualified} SET {name} = {field.default} WHERE {name} IS NULL; " if field.default else ""
        )
        yield Fault(field.name, f"{where} must not allow NULL", f"{fill}{alter} ALTER COLUMN {name} SET NOT NULL;")


_OUR_COLUMNS = sa.text(
    """
    SELECT c.relname AS "table", a.attname AS "column"
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname = :schema AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    """
)


def missing_of_ours(connection: sa.Connection) -> list[str]:
    """Those of our own tables that are not there yet, and the columns that an older version did not have."""
    found: dict[str, set[str]] = defaultdict(set)
    for table, column in connection.execute(_OUR_COLUMNS, {"schema": SCHEMA}):
        found[table].add(column)
    missing = []
    for ours in metadata.sorted_tables:
        names = [f"{ours.name}.{column.name}" for column in ours.columns if column.name not in found[ours.name]]
        missing += [f"{SCHEMA}.{name}" for name in (names if found[ours.name] else [ours.name])]
    return missing


def require_columns(contacts: ContactsTable, crm: Crm) -> None:
    """SchemaError with everything that the contacts table lacks for this CRM."""
    faults = [str(fault) for fault in faults_of(contacts, crm)]
    if faults:
        raise SchemaError(f"{contacts.qualified} can't serve {crm.title}; nothing was done. " + " ".join(faults))


def require_usable(engine: sa.Engine, contacts: ContactsTable, crm: Crm) -> None:
    """SchemaError with everything that keeps this CRM's queue from working."""
    require_columns(contacts, crm)
    if missing := in_transaction(engine, missing_of_ours):
        raise SchemaError(
            f"Of our own tables, {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing. Nothing was "
            f"done. Run `crm-sync db upgrade`, which adds schema {SCHEMA} and indexes, and leaves the columns of "
            f"{contacts.qualified} alone."
        )


def unusable_because(connection: sa.Connection, contacts: ContactsTable) -> list[Fault]:
    """What keeps any destination from using this table, whatever else is right."""
    (of_id,) = (field for field in _SHARED if not field.convertible)
    return [
        *(fault for fault in _faults_of_field(contacts, of_id) if not fault.remedy),
        *(
            Fault(
                "Rules",
                f"Rule {rule} of {contacts.qualified} rewrites every UPDATE of it, so that ours fail or change "
                "nothing, and no contact is delivered. A trigger can do the same work without that: replace the rule",
                f"DROP RULE {quoted(rule)} ON {contacts.qualified};",
            )
            for rule in rules_on_update(connection, contacts)
        ),
    ]


def check(connection: sa.Connection, contacts: ContactsTable, crms: Iterable[Crm] | None = None) -> list[Finding]:
    """Everything, field by field: each CRM's columns and indexes, what rewrites our statements, rights, our tables."""
    findings = []
    written: set[str] = set()
    served = []
    for crm in contacts.crms.values() if crms is None else crms:
        if not any(name in contacts.columns for name in (crm.sync_status, crm.processing_status)):
            findings.append(Finding(crm.title, None, f"{contacts.qualified} has no columns for it"))
            continue
        written |= {field.name for field in required_fields(crm)} - {"id", "email"}
        findings += _check_crm(connection, contacts, crm)
        served.append(crm)
    findings += findings_of(contacts, served) if served else []
    findings += [
        Finding(fault.field, False, fault.what, fault.remedy)
        for fault in unusable_because(connection, contacts)
        if fault.field not in contacts.columns or not written  # else it is among the columns of a CRM
    ]
    findings += check_rights(connection, contacts, written)
    missing = missing_of_ours(connection)
    says = f"missing: {', '.join(missing)}" if missing else ""
    findings.append(Finding(f"Schema {SCHEMA}", not missing, says, "crm-sync db upgrade"))
    return findings


def _check_crm(connection: sa.Connection, contacts: ContactsTable, crm: Crm) -> Iterator[Finding]:
    faults = faults_of(contacts, crm)
    for field in required_fields(crm):
        subject, column = f"{crm.title}: {field.name}", contacts.columns.get(field.name)
        wrong = [fault for fault in faults if fault.field == field.name]
        for fault in wrong:
            yield Finding(subject, False, fault.what, fault.remedy)
        if not wrong:
            yield Finding(subject, True, column.described if column else "")
    for index in indexes_for(contacts, crm) if not faults else ():
        built = is_built(connection, contacts, index)
        says = {True: "", False: "left half built: it costs writes and serves no query", None: "missing"}[built]
        yield Finding(f"{crm.title}: index {index.name}", bool(built), says, "crm-sync db upgrade")
