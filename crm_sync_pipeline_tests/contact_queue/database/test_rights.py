"""Rights and servers that take no writes: named by `db check`, with the statement that helps, and before an upgrade."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_sync_pipeline.contact_queue.database.finding import Finding
from crm_sync_pipeline.contact_queue.database.schema import SchemaError
from crm_sync_pipeline.sandbox.postgres import start
from crm_sync_pipeline_tests.builders import USERS_TABLE, World, one_run
from crm_sync_pipeline_tests.conftest import memory
from crm_sync_pipeline_tests.contact_queue.database.test_upgrade import INDEXES, indexes_of
from crm_sync_pipeline_tests.contact_queue.roles import ON_CONTACTS, ON_OURS, a_role


def wrong(world: World) -> list[Finding]:
    return [line for line in world.database.check() if line.ok is False]


@pytest.mark.parametrize(
    ("granted", "lacks"),
    [
        ("", ["USAGE of the schema; ", "SELECT, INSERT, UPDATE, DELETE on acts, alerts, attempts, deliveries, "]),
        ("GRANT USAGE ON SCHEMA crm_sync TO {role};", ["lacks SELECT, INSERT, UPDATE, DELETE on acts, alerts, "]),
        (ON_OURS + "REVOKE INSERT ON crm_sync.attempts FROM {role};", ["INSERT on attempts"]),
        (ON_OURS + "REVOKE DELETE ON crm_sync.imports FROM {role};", ["DELETE on imports"]),
        (ON_OURS + "REVOKE USAGE ON SCHEMA crm_sync FROM {role};", ["USAGE of the schema"]),
    ],
)
def test_a_right_on_our_schema_that_is_missing_is_named_and_the_remedy_gives_it(
    fresh: World, granted: str, lacks: list[str]
) -> None:
    with a_role(fresh, ON_CONTACTS + granted) as (role, theirs):
        (line,) = wrong(theirs)
        assert line.subject == "Rights on schema crm_sync"
        assert f"role {role} lacks " in line.detail
        assert all(each in line.detail for each in lacks)
        if granted == "":
            with pytest.raises(SchemaError, match="it can't be seen whether anything is left to do") as refused:
                theirs.upgrade()
            assert line.remedy in str(refused.value)
        fresh.script(line.remedy)
        assert wrong(theirs) == []
        assert theirs.upgrade() == []
        fresh.add("a@example.com")
        assert one_run(theirs.queue()).as_metadata()["complete"] == 1, "nor does it need a right on a sequence"


def test_a_role_that_may_not_read_our_version_is_told_so_and_not_that_something_is_left(fresh: World) -> None:
    with a_role(fresh, ON_CONTACTS + ON_OURS + "REVOKE ALL ON crm_sync.alembic_version FROM {role};") as (role, theirs):
        assert wrong(theirs) == []
        with pytest.raises(SchemaError, match="it can't be seen whether anything is left to do") as refused:
            theirs.upgrade()
        grant = f"GRANT SELECT ON crm_sync.alembic_version TO {role};"
        assert grant in str(refused.value)
        fresh.script(grant)
        assert theirs.upgrade() == []


def test_a_table_that_an_upgrade_adds_later_is_covered_by_the_remedy(fresh: World) -> None:
    with a_role(fresh, ON_CONTACTS) as (role, theirs):
        (line,) = wrong(theirs)
        fresh.script(line.remedy)
        fresh.script("CREATE TABLE crm_sync.later (id int)")
        assert fresh.value("SELECT has_table_privilege(:role, 'crm_sync.later', 'INSERT')", role=role)
        assert wrong(theirs) == []


def test_columns_that_may_be_updated_are_enough_and_one_that_may_not_is_not(brevo_only: World) -> None:
    columns = (
        "updated_at, brevo_sync_status, brevo_processing_status, brevo_processing_error, brevo_contact_id, "
        "retry_count, last_retry_at, next_retry_at, last_failed_crm"
    )
    grants = (
        "GRANT USAGE ON SCHEMA app TO {role}; GRANT SELECT ON app.people TO {role};"
        f"GRANT UPDATE ({columns}) ON app.people TO {{role}};"
    )
    with a_role(brevo_only, grants + ON_OURS) as (role, theirs):
        assert wrong(theirs) == []
        brevo_only.add("a@example.com")
        assert one_run(theirs.queue()).as_metadata()["complete"] == 1
        brevo_only.script(f"REVOKE UPDATE (last_failed_crm) ON app.people FROM {role}")
        (line,) = wrong(theirs)
        assert line.remedy == f"GRANT SELECT, UPDATE ON app.people TO {role};"
        brevo_only.script(f"REVOKE USAGE ON SCHEMA app FROM {role}")
        (line,) = wrong(theirs)
        assert line.remedy.startswith(f"GRANT USAGE ON SCHEMA app TO {role}; ")
        brevo_only.script(line.remedy)
        assert wrong(theirs) == []


@pytest.mark.parametrize(
    ("where", "remedy"),
    [
        ("DATABASE {database}", "ALTER DATABASE {database} RESET default_transaction_read_only;"),
        ("ROLE {role}", "ALTER ROLE {role} RESET default_transaction_read_only;"),
        ("ROLE {role} IN DATABASE {database}", "ALTER ROLE {role} IN DATABASE {database} RESET {setting};"),
    ],
)
def test_a_read_only_default_is_named_with_where_it_is_set(fresh: World, where: str, remedy: str) -> None:
    database = fresh.value("SELECT current_database()")
    with a_role(fresh, ON_CONTACTS + ON_OURS) as (role, theirs):
        names = {"role": role, "database": database, "setting": "default_transaction_read_only"}
        theirs.engine.dispose()
        fresh.script(f"ALTER {where.format(**names)} SET default_transaction_read_only = on")
        (line,) = wrong(theirs)
        assert (line.subject, line.remedy) == ("Writing", remedy.format(**names))
        fresh.engine.dispose()
        with fresh.engine.connect() as connection:
            connection.exec_driver_sql("SET TRANSACTION READ WRITE")
            connection.exec_driver_sql(line.remedy)
            connection.commit()
        theirs.engine.dispose()
        fresh.engine.dispose()
        assert wrong(theirs) == []


def test_a_read_only_connection_of_ours_is_named_and_an_upgrade_refuses_it_only_where_something_is_left(
    fresh: World,
) -> None:
    read_only = World(f"{fresh.url}&options=-c%20default_transaction_read_only%3Don")
    (line,) = wrong(read_only)
    assert line.detail.startswith("default_transaction_read_only is on for this connection")
    assert "DATABASE_URL" in line.remedy
    assert read_only.upgrade() == []
    fresh.execute("DROP INDEX contacts_crm_sync_brevo_queued")
    with pytest.raises(SchemaError, match=r"Nothing was changed\. Writing: default_transaction_read_only is on"):
        read_only.upgrade()
    read_only.engine.dispose()


def test_a_role_that_owns_nothing_is_told_before_anything_is_changed_who_must_upgrade_and_what_to_grant(
    empty: World,
) -> None:
    empty.script(USERS_TABLE)
    with a_role(empty, ON_CONTACTS) as (role, theirs), a_role(empty, kind="owner") as (owner, owners):
        empty.script(f"ALTER TABLE contacts OWNER TO {owner}")
        with pytest.raises(SchemaError) as refused:
            theirs.database.upgrade(lambda _line: None)
        says = str(refused.value)
        assert says.startswith(f"Nothing was changed: the contacts table belongs to role {owner}, so role {role} may ")
        assert f"Run `crm-sync db upgrade` as role {owner}, or as a superuser." in says
        assert empty.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'crm_sync'") == 0
        before, afterwards = re.findall(r": ((?:GRANT|ALTER DEFAULT)[^:]*;)", says)
        assert "CREATE ON DATABASE" in before
        empty.script(before)
        owners.upgrade()
        empty.script(afterwards)
        assert wrong(theirs) == []
        assert theirs.upgrade() == [], "nothing is left to do, so whoever asks may ask"
        empty.add("a@example.com")
        assert one_run(theirs.queue()).as_metadata()["complete"] == 1
        assert set(indexes_of(empty)) >= INDEXES


def test_an_owner_without_the_right_to_make_a_schema_is_told_which_right_is_missing(empty: World) -> None:
    empty.script(USERS_TABLE)
    with a_role(empty, "ALTER TABLE contacts OWNER TO {role};") as (role, theirs):
        with pytest.raises(SchemaError) as refused:
            theirs.upgrade()
        says = str(refused.value)
        (grants,) = re.findall(r"run: (GRANT.*;) Then run it again", says)
        assert f"GRANT CREATE ON DATABASE {empty.value('SELECT current_database()')} TO {role};" in grants
        empty.script(grants)
        theirs.upgrade()
        assert set(indexes_of(empty)) >= INDEXES
        empty.script("ALTER TABLE contacts OWNER TO postgres")


@pytest.mark.parametrize("name", ["contacts", "app.contacts"])
def test_who_may_not_create_the_table_is_told_which_right_is_missing(empty: World, name: str) -> None:
    with a_role(empty, "REVOKE CREATE ON SCHEMA public FROM PUBLIC;") as (_, theirs):
        theirs = World(theirs.url, name)
        with pytest.raises(SchemaError) as refused:
            theirs.upgrade()
        (grants,) = re.findall(r"run: (GRANT.*;) Then run it again", str(refused.value))
        empty.script(grants)
        assert theirs.upgrade()[0] == f"created table {name if '.' in name else 'public.contacts'}"
        assert wrong(theirs) == []


def test_a_migration_of_tables_of_another_role_is_refused_with_whose_they_are(fresh: World) -> None:
    with a_role(fresh, ON_CONTACTS + ON_OURS) as (role, theirs):
        fresh.script(f"ALTER TABLE contacts OWNER TO {role}; UPDATE crm_sync.alembic_version SET version_num = '0005'")
        before = fresh.snapshot()
        with pytest.raises(SchemaError, match="the tables of schema crm_sync belong to role postgres, so role"):
            theirs.upgrade()
        assert fresh.snapshot() == before
        fresh.script("ALTER TABLE contacts OWNER TO postgres")


def test_a_standby_is_named_and_an_upgrade_refuses_it_only_where_something_is_left(accessible: Path) -> None:
    with start(accessible) as server:
        World(server.url).upgrade()
        bare = server.create_database("bare")
    (accessible / "data" / "standby.signal").touch()
    with start(accessible) as server:
        standby = World(server.url)
        assert standby.value("SELECT pg_is_in_recovery()") is True
        (line,) = wrong(standby)
        assert line.subject == "Writing"
        assert line.detail.startswith("this server is a standby")
        assert standby.upgrade() == []
        with pytest.raises(SchemaError, match=r"Nothing was changed\. Writing: this server is a standby"):
            World(bare).upgrade()
        standby.engine.dispose()


@pytest.fixture
def accessible() -> Iterator[Path]:
    """A home for a server that any user may enter; pytest's tmp_path is closed to root's `nobody`."""
    with tempfile.TemporaryDirectory(prefix="crm_sync-test-", dir=memory()) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "postgres"
