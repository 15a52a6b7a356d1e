"""What `db check` finds, and that its remedies, executed, really fix it."""

import itertools
import re

import pytest
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.finding import Finding
from crm_sync_pipeline.contact_queue.database.schema import Fault, SchemaError, check, faults_of
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline_tests.builders import World, one_run

BREVO = CRMS["brevo"]
FIELDS = (
    "brevo_sync_status",
    "brevo_processing_status",
    "brevo_processing_error",
    "brevo_contact_id",
    "retry_count",
    "next_retry_at",
    "last_retry_at",
    "last_failed_crm",
)

DROP_INDEXES = "DROP INDEX " + ", ".join(
    f"contacts_crm_sync_{crm}_{kind}" for crm in CRMS for kind in ("queued", "processing_since", "error_since")
)


def faults(world: World, crm: str = "brevo") -> list[Fault]:
    return faults_of(world.database.contacts(), CRMS[crm])


def findings(world: World) -> list[Finding]:
    with world.engine.connect() as connection:
        return check(connection, world.database.contacts())


def fix(world: World) -> None:
    """Execute every remedy as it stands, one by one, as a person would paste it."""
    for fault in faults(world):
        with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(fault.remedy)


def spoil(world: World, *statements: str) -> None:
    for statement in statements:
        with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("crm", CRMS)
def test_the_users_table_is_fine_as_it_is_for_every_crm(fresh: World, crm: str) -> None:
    assert faults(fresh, crm) == []


@pytest.mark.parametrize("crm", CRMS)
def test_the_table_that_we_create_is_fine(created: World, crm: str) -> None:
    assert faults(created, crm) == []


def test_a_table_with_text_statuses_and_brevos_columns_alone_is_fine(brevo_only: World) -> None:
    assert faults(brevo_only) == []
    lines = findings(brevo_only)
    assert all(line.ok is not False for line in lines)
    absent = [line.subject for line in lines if line.ok is None and not line.optional]
    assert absent == ["HubSpot", "Mautic", "n8n"]


def test_a_check_lists_each_field_the_indexes_the_rights_and_our_schema(fresh: World) -> None:
    lines = findings(fresh)
    assert [line for line in lines if not line.ok] == []
    subjects = [line.subject for line in lines]
    assert set(subjects) >= {f"Brevo: {field}" for field in FIELDS}
    assert "Brevo: index contacts_crm_sync_brevo_queued" in subjects
    assert {"Rights to read and update", "Schema crm_sync"} <= set(subjects)


def test_before_the_upgrade_a_check_says_what_to_run(fresh: World) -> None:
    spoil(fresh, "DROP SCHEMA crm_sync CASCADE", "DROP INDEX contacts_crm_sync_brevo_queued")
    wrong = {line.subject: line for line in findings(fresh) if not line.ok}
    assert set(wrong) == {"Schema crm_sync", "Brevo: index contacts_crm_sync_brevo_queued"}
    assert {line.remedy for line in wrong.values()} == {"crm-sync db upgrade"}


@pytest.mark.parametrize("field", [*FIELDS, "id", "email", "updated_at"])
def test_a_missing_column_is_named_and_the_remedy_adds_it(fresh: World, field: str) -> None:
    fresh.add("a@example.com", "b@example.com", selected=False)
    spoil(fresh, f"ALTER TABLE contacts DROP COLUMN {field} CASCADE")
    (fault,) = faults(fresh)
    assert fault.field == field
    assert fault.what == f"Column {field} of public.contacts is missing"
    with pytest.raises(SchemaError, match=re.escape(str(fault))):
        fresh.queue()
    fix(fresh)
    assert faults(fresh) == []
    fresh.queue().claim(1)


@pytest.mark.parametrize(
    ("field", "spoilt", "found"),
    [
        ("next_retry_at", "timestamp", "timestamp without time zone"),
        ("next_retry_at", "timestamp(3)", "timestamp(3) without time zone"),
        ("last_retry_at", "date", "date"),
        ("last_retry_at", "text", "text"),
        ("updated_at", "timestamp", "timestamp without time zone"),
        ("brevo_processing_error", "varchar(100)", "character varying(100)"),
        ("brevo_contact_id", "varchar(20)", "character varying(20)"),
        ("brevo_contact_id", "integer USING NULL", "integer"),
        ("last_failed_crm", "varchar(5)", "character varying(5)"),
        ("retry_count", "text, ALTER COLUMN retry_count SET DEFAULT '0'", "text"),
        ("retry_count", "numeric", "numeric"),
        ("brevo_sync_status", "varchar(5)", "character varying(5)"),
        ("brevo_processing_status", "integer USING NULL", "integer"),
        ("email", "varchar(2)", "character varying(2)"),
    ],
)
def test_a_wrong_type_is_named_and_the_remedy_changes_it(fresh: World, field: str, spoilt: str, found: str) -> None:
    fresh.add("a", selected=False, last_failed_crm=None)
    spoil(
        fresh,
        DROP_INDEXES,
        f"ALTER TABLE contacts ALTER COLUMN {field} TYPE {spoilt}",
    )
    (fault,) = faults(fresh)
    assert (fault.field, f"is {found}, but must be" in fault.what) == (field, True)
    fix(fresh)
    assert faults(fresh) == []
    fresh.execute("UPDATE contacts SET brevo_sync_status = 'New', brevo_processing_status = NULL")
    (contact,) = fresh.rows("SELECT id FROM contacts")
    fresh.select(contact["id"])
    assert one_run(fresh.queue()).as_metadata()["complete"] == 1


def test_a_time_without_a_zone_is_taken_for_utc(fresh: World) -> None:
    fresh.add("a@example.com", selected=False, next_retry_at="2026-03-01 14:00:00+00")
    spoil(
        fresh,
        DROP_INDEXES,
        "ALTER TABLE contacts ALTER COLUMN next_retry_at TYPE timestamp USING next_retry_at AT TIME ZONE 'UTC'",
    )
    fix(fresh)
    assert fresh.value("SELECT next_retry_at = '2026-03-01 14:00:00+00' FROM contacts") is True


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("next_retry_at", "timestamptz(3)"),
        ("updated_at", "timestamptz(6)"),
        ("retry_count", "smallint"),
        ("retry_count", "bigint"),
        ("brevo_processing_error", "varchar(500)"),
        ("brevo_contact_id", "text"),
        ("last_failed_crm", "varchar(20)"),
        ("email", "varchar(255)"),
        ("brevo_sync_status", "varchar(20)"),
        ("brevo_processing_status", "text"),
    ],
)
def test_a_type_that_fits_is_left_alone(fresh: World, field: str, kind: str) -> None:
    spoil(
        fresh,
        DROP_INDEXES,
        f"ALTER TABLE contacts ALTER COLUMN {field} TYPE {kind}",
    )
    assert faults(fresh) == []
    fresh.add("a@example.com")
    assert one_run(fresh.queue()).as_metadata()["complete"] == 1


def test_an_address_that_may_be_null_is_no_fault_and_the_contact_is_still_read(fresh: World) -> None:
    spoil(fresh, "ALTER TABLE contacts ALTER COLUMN email DROP NOT NULL")
    (contact_id,) = fresh.add("a@example.com")
    fresh.execute("UPDATE contacts SET email = NULL")
    assert faults(fresh) == []
    queue = fresh.queue()
    (contact,) = queue.contacts_of(queue.claim(1).token)
    assert (contact.id, contact.email) == (contact_id, "")


LABELS = {
    "brevo_sync_status": ("New", "Selected", "Queued", "Processing", "Complete", "Error"),
    "brevo_processing_status": ("Queued", "Processing", "Complete", "Error"),
}


@pytest.mark.parametrize(("field", "label"), [(field, label) for field, labels in LABELS.items() for label in labels])
def test_a_missing_enum_label_is_named_and_the_remedy_adds_it(fresh: World, field: str, label: str) -> None:
    kept = ", ".join(f"'{other}'" for other in LABELS[field] if other != label)
    spoil(
        fresh,
        DROP_INDEXES,
        f'CREATE TYPE "Odd Status" AS ENUM ({kept})',
        f"ALTER TABLE contacts ALTER COLUMN {field} DROP DEFAULT, "
        f'ALTER COLUMN {field} TYPE "Odd Status" USING NULLIF({field}::text, \'{label}\')::"Odd Status"',
    )
    (fault,) = faults(fresh)
    assert fault.field == field
    assert f"lacks the label '{label}'" in fault.what
    fix(fresh)
    assert faults(fresh) == []
    spoil(fresh, "ALTER TABLE contacts ALTER COLUMN brevo_sync_status SET DEFAULT 'New'")
    fresh.add("a@example.com")
    assert one_run(fresh.queue()).as_metadata()["complete"] == 1


def test_a_label_in_another_case_does_not_count(fresh: World) -> None:
    spoil(fresh, "ALTER TYPE crm_sync_status RENAME VALUE 'Selected' TO 'selected'")
    assert [fault.field for fault in faults(fresh)] == ["brevo_sync_status"]


def test_every_missing_label_gets_its_line_in_the_check(fresh: World) -> None:
    spoil(
        fresh,
        "ALTER TYPE crm_sync_status RENAME VALUE 'Selected' TO 'selected'",
        "ALTER TYPE crm_sync_status RENAME VALUE 'Error' TO 'error'",
    )
    lines = [line for line in findings(fresh) if line.subject == "Brevo: brevo_sync_status"]
    assert [line.ok for line in lines] == [False, False]
    assert [label in line.detail for line, label in zip(lines, ("'Selected'", "'Error'"), strict=True)] == [True, True]
    for line in lines:
        spoil(fresh, line.remedy)
    assert faults(fresh) == []


@pytest.mark.parametrize("field", [field for field in FIELDS if field not in ("brevo_sync_status", "retry_count")])
def test_a_column_that_refuses_null_where_null_is_written_is_named_and_mended(fresh: World, field: str) -> None:
    spoil(fresh, f"ALTER TABLE contacts ALTER COLUMN {field} SET NOT NULL")
    (fault,) = faults(fresh)
    assert fault.what == f"Column {field} of public.contacts must allow NULL"
    fix(fresh)
    assert faults(fresh) == []


@pytest.mark.parametrize("field", ["brevo_sync_status", "retry_count", "updated_at"])
def test_a_column_that_allows_null_where_none_may_be_is_named_and_mended(fresh: World, field: str) -> None:
    fresh.add("a@example.com", selected=False)
    spoil(
        fresh,
        f"ALTER TABLE contacts ALTER COLUMN {field} DROP NOT NULL",
        f"UPDATE contacts SET {field} = NULL",  # the names stand above
    )
    (fault,) = faults(fresh)
    assert fault.what == f"Column {field} of public.contacts must not allow NULL"
    fix(fresh)
    assert faults(fresh) == []


def test_several_faults_are_all_named_at_once(fresh: World) -> None:
    spoil(
        fresh,
        "ALTER TABLE contacts DROP COLUMN last_failed_crm CASCADE, DROP COLUMN retry_count",
        "ALTER TABLE contacts ALTER COLUMN next_retry_at TYPE timestamp",
    )
    assert [fault.field for fault in faults(fresh)] == ["retry_count", "next_retry_at", "last_failed_crm"]
    with pytest.raises(SchemaError) as refused:
        fresh.queue()
    assert str(refused.value).count("Fix it with: ALTER TABLE public.contacts") == 3
    fix(fresh)
    fresh.upgrade()
    fresh.add("a@example.com")
    assert one_run(fresh.queue()).as_metadata()["complete"] == 1


def test_one_crms_missing_column_does_not_stop_the_others(fresh: World) -> None:
    spoil(fresh, "ALTER TABLE contacts DROP COLUMN hubspot_processing_error")
    with pytest.raises(SchemaError, match="hubspot_processing_error"):
        fresh.queue("hubspot")
    fresh.add("a@example.com")
    assert one_run(fresh.queue()).as_metadata()["complete"] == 1


@pytest.mark.parametrize("fault_of", ['ALTER TABLE people RENAME TO "My People"', "ALTER TABLE people SET SCHEMA app2"])
def test_a_remedy_names_the_table_wherever_it_is(brevo_only: World, fault_of: str) -> None:
    spoil(brevo_only, "CREATE SCHEMA app2", "SET search_path TO app; " + fault_of)
    moved = World(brevo_only.url, "app.My People" if "My" in fault_of else "app2.people")
    qualified = moved.database.contacts().qualified
    spoil(moved, f"ALTER TABLE {qualified} DROP COLUMN retry_count")
    fix(moved)
    assert faults(moved) == []


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_is_refused_with_what_to_name_instead(fresh: World, kind: str) -> None:
    spoil(fresh, f"CREATE {kind} shown AS TABLE contacts")
    shown = World(fresh.url, "shown")
    for use in (shown.database.contacts, shown.upgrade):
        with pytest.raises(CrmSyncError, match=rf"shown is a {kind.lower()}; .*CRM_SYNC_CONTACTS_TABLE"):
            use()


def test_a_partitioned_table_is_refused_as_one(empty: World) -> None:
    spoil(empty, "CREATE TABLE contacts (id uuid) PARTITION BY HASH (id)")
    for use in (empty.database.contacts, empty.upgrade):
        with pytest.raises(CrmSyncError, match="contacts is a partitioned table; "):
            use()


def test_missing_rights_are_named_with_the_grant_that_gives_them(fresh: World) -> None:
    role = f"Reader {next(_roles)}"
    spoil(fresh, f'CREATE ROLE "{role}"', f'GRANT USAGE ON SCHEMA public, crm_sync TO "{role}"')
    try:
        contacts = fresh.database.contacts()

        def rights() -> Finding:
            with fresh.engine.connect() as connection:
                connection.exec_driver_sql(f'SET LOCAL ROLE "{role}"')
                (finding,) = [
                    line for line in check(connection, contacts) if line.subject == "Rights to read and update"
                ]
                return finding

        assert rights().ok is False
        assert rights().remedy == f'GRANT SELECT, UPDATE ON public.contacts TO "{role}";'
        spoil(fresh, rights().remedy)
        assert rights().ok is True
    finally:
        spoil(fresh, f'DROP OWNED BY "{role}"', f'DROP ROLE "{role}"')


_roles = itertools.count(1)


def test_case_insensitive_addresses_are_fine(fresh: World) -> None:
    if not fresh.rows("SELECT 1 FROM pg_available_extensions WHERE name = 'citext'"):
        pytest.skip("this PostgreSQL comes without citext")
    spoil(fresh, "CREATE EXTENSION citext", "ALTER TABLE contacts ALTER COLUMN email TYPE citext")
    assert faults(fresh) == []
    fresh.add("Anna@Example.com")
    assert one_run(fresh.queue()).as_metadata()["complete"] == 1


def test_a_check_writes_nothing(fresh: World) -> None:
    before = fresh.snapshot()
    with fresh.engine.connect().execution_options(postgresql_readonly=True) as connection:
        assert check(connection, fresh.database.contacts())
        assert isinstance(connection, sa.Connection)
    assert fresh.snapshot() == before
