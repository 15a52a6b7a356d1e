"""Tables that can't be used are refused in one true sentence, before anything is changed; domains are seen through."""

import json

import pytest

from crm_sync_pipeline.cli import main
from crm_sync_pipeline.contact_queue.database.schema import check
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.outcome import Failed, Synced
from crm_sync_pipeline_tests.builders import BREVO_ONLY_TABLE, USERS_TABLE, World, one_run
from crm_sync_pipeline_tests.contact_queue.plans import OWN, explained, statements


def command(world: World, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of the command line, as a person calls it."""
    monkeypatch.setenv("DATABASE_URL", world.url)
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code if isinstance(ended.value.code, int) else 0


def everything(world: World) -> list[dict[str, object]]:
    return world.rows("SELECT oid, xmin::text FROM pg_class WHERE oid >= 16384 ORDER BY oid")


@pytest.mark.parametrize("made", ["bigint", "integer", "smallint", "text", "varchar(36)", "numeric", "char(36)"])
def test_an_id_that_is_not_a_uuid_is_refused_without_a_remedy_that_fails(
    empty: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], made: str
) -> None:
    empty.script(USERS_TABLE.replace("id uuid PRIMARY KEY DEFAULT gen_random_uuid(),\n    domain", f"id {made},domain"))
    before = everything(empty)

    assert command(empty, monkeypatch, "db", "upgrade") == 1
    said = capsys.readouterr()
    assert said.err.startswith("Error: Nothing was changed. Column id of public.contacts is ")
    assert "but must be uuid: crm-sync can't use this table" in said.err
    assert "up to date" not in said.out
    assert everything(empty) == before

    assert command(empty, monkeypatch, "db", "check") == 1
    said = capsys.readouterr()
    assert "Column id of public.contacts is " in " ".join(said.out.split())
    assert "ALTER COLUMN id" not in said.out
    assert "The database is ready" not in said.out

    assert command(empty, monkeypatch, "db", "check", "--json") == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert {each["remedy"] for each in findings if each["subject"] == "Brevo: id"} == {""}

    with pytest.raises(CrmSyncError, match=r"Column id of public.contacts is .* with CRM_SYNC_CONTACTS_TABLE\.$"):
        empty.queue()


def test_such_an_id_is_named_where_no_crm_has_a_column_yet(
    empty: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty.script("CREATE TABLE contacts (id bigint, email text)")
    assert command(empty, monkeypatch, "db", "check") == 1
    assert "Column id of public.contacts is bigint" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "rule",
    [
        "ON UPDATE TO contacts DO ALSO INSERT INTO log VALUES (old.id)",
        "ON UPDATE TO contacts DO INSTEAD NOTHING",
        "ON UPDATE TO contacts WHERE new.has_gmail DO INSTEAD INSERT INTO log VALUES (old.id)",
        "ON UPDATE TO contacts DO ALSO NOTIFY changed",
    ],
)
def test_a_rule_that_rewrites_updates_is_named_and_an_upgrade_is_refused_until_it_is_gone(
    empty: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    empty.script(f'{USERS_TABLE}; CREATE TABLE log (id uuid); CREATE RULE "Log It" AS {rule}')
    before = everything(empty)

    assert command(empty, monkeypatch, "db", "upgrade") == 1
    assert "Nothing was changed. Rule Log It of public.contacts rewrites every UPDATE" in capsys.readouterr().err
    assert everything(empty) == before
    assert command(empty, monkeypatch, "db", "check") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "Rule Log It of public.contacts rewrites every UPDATE" in said
    assert "The database is ready" not in said

    with empty.engine.connect() as connection:
        (line,) = [each for each in check(connection, empty.database.contacts()) if each.subject == "Rules"]
    empty.execute(line.remedy)
    empty.upgrade()
    assert command(empty, monkeypatch, "db", "check") == 0
    empty.add("a@example.com")
    assert one_run(empty.queue()).as_metadata()["complete"] == 1


def test_a_rule_that_appears_after_the_upgrade_is_found_too(
    fresh: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh.script("CREATE TABLE log (id uuid); CREATE RULE log_it AS ON UPDATE TO contacts DO ALSO DELETE FROM log")
    assert command(fresh, monkeypatch, "db", "check") == 1
    assert command(fresh, monkeypatch, "db", "upgrade") == 1
    assert "up to date" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "rule", ["ON INSERT TO contacts DO ALSO NOTIFY changed", "ON DELETE TO contacts DO ALSO NOTIFY x"]
)
def test_a_rule_on_what_we_do_not_do_is_fine(fresh: World, rule: str) -> None:
    fresh.script(f"CREATE RULE other AS {rule}")
    with fresh.engine.connect() as connection:
        assert all(line.ok is not False for line in check(connection, fresh.database.contacts()))
    assert fresh.upgrade() == []


DOMAINS = """
CREATE DOMAIN an_id AS uuid;
CREATE DOMAIN words AS text;
CREATE DOMAIN address AS words CHECK (VALUE ~ '@');
CREATE DOMAIN strict_address AS address NOT NULL;
CREATE DOMAIN moment AS timestamptz;
CREATE DOMAIN a_moment AS moment NOT NULL;
CREATE DOMAIN short AS varchar(20);
CREATE DOMAIN long AS varchar(500);
CREATE DOMAIN how_many AS integer NOT NULL DEFAULT 0;
CREATE DOMAIN a_flag AS boolean;
"""


def with_domains(table: str, types: dict[str, str]) -> str:
    """A script that makes the table, with some columns of other types; their defaults stay."""
    changes = ", ".join(f"ALTER COLUMN {name} TYPE {kind} USING {name}::{kind}" for name, kind in types.items())
    return f"{DOMAINS}; ALTER TABLE {table} {changes}"


OF_TEXTS = {
    "id": "an_id",
    "email": "strict_address",
    "name": "words",
    "updated_at": "a_moment",
    "brevo_sync_status": "short",
    "brevo_processing_status": "words",
    "brevo_processing_error": "long",
    "brevo_contact_id": "words",
    "retry_count": "how_many",
    "last_retry_at": "moment",
    "next_retry_at": "moment",
    "last_failed_crm": "short",
}


def whole_way(world: World, crms: tuple[str, ...]) -> None:
    """Upgrade, check, select, claim, deliver, fail, hold on to what a person decides, recover."""
    assert "created table" not in " ".join(world.upgrade())
    assert world.upgrade() == []
    with world.engine.connect() as connection:
        assert [line for line in check(connection, world.database.contacts()) if line.ok is False] == []
    for crm in crms:
        ids = sorted(world.add(*(f"{crm}{n}@example.com" for n in range(3)), selected=False))
        world.select(*ids, crms=(crm,))
        assert world.queue(crm).depth() == 3
        assert one_run(world.queue(crm), Synced("1"), Failed("http_503", "m"), size=2).total == 2
        assert sorted(str(world.status(contact, crm)[1]) for contact in ids) == ["Complete", "Queued", "Queued"]
        queue = world.queue(crm)
        token = queue.claim(1).token
        (claimed,) = queue.contacts_of(token)
        world.execute(f"UPDATE {world.table} SET {crm}_sync_status = 'New' WHERE id = CAST(:id AS uuid)", id=claimed.id)
        queue.settle(token)
        assert world.status(claimed.id, crm) == ("New", None)
        world.execute(
            f"UPDATE {world.table} SET {crm}_sync_status = 'Processing', {crm}_processing_status = 'Processing'"
        )
        world.pass_time(world.lease * 2)
        assert queue.needs_recovery()
        queue.recover()
        assert not queue.needs_recovery()
        assert queue.figures.now().due > 0
        world.database.report().status(CRMS[crm])
        world.execute(f"DELETE FROM {world.table}")


def test_domains_over_every_fitting_type_nested_and_strict_are_used_all_the_way(empty: World) -> None:
    empty.script(BREVO_ONLY_TABLE)
    empty.script(with_domains("app.people", OF_TEXTS))
    world = World(empty.url, "app.people")
    whole_way(world, ("brevo",))
    columns = world.database.contacts().columns
    assert columns["email"].described == "domain strict_address over text"
    assert columns["email"].not_null


def test_domains_over_enums_are_used_all_the_way_and_by_their_index(empty: World) -> None:
    empty.script(USERS_TABLE)
    empty.script(
        "CREATE DOMAIN status AS crm_sync_status; CREATE DOMAIN strict AS status NOT NULL;"
        "CREATE DOMAIN state AS crm_processing_status;"
        "ALTER TABLE contacts ALTER COLUMN brevo_sync_status TYPE strict,"
        "ALTER COLUMN brevo_processing_status TYPE state"
    )
    whole_way(empty, ("brevo", "mautic"))
    empty.add_many(3)
    with empty.engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = explained(connection, statements(empty)["claim: lock what is due"], OWN)
    assert "contacts_crm_sync_brevo_queued" in {node.get("Index Name") for node in plan}


def test_a_domain_that_refuses_null_where_null_is_written_is_named_and_the_remedy_helps(brevo_only: World) -> None:
    brevo_only.script(
        "CREATE DOMAIN strict AS timestamptz NOT NULL; CREATE DOMAIN stricter AS strict NOT NULL;"
        "ALTER TABLE app.people ALTER COLUMN next_retry_at TYPE stricter"
    )
    with brevo_only.engine.connect() as connection:
        (line,) = [each for each in check(connection, brevo_only.database.contacts()) if each.ok is False]
    assert line.detail == "Column next_retry_at of app.people must allow NULL"
    brevo_only.script(line.remedy)
    brevo_only.add("a@example.com")
    assert one_run(brevo_only.queue(), Failed("http_503", "m")).total == 1


def test_a_domain_that_is_too_short_is_named_and_the_remedy_helps(brevo_only: World) -> None:
    brevo_only.script(
        "CREATE DOMAIN short AS varchar(20); ALTER TABLE app.people ALTER COLUMN brevo_contact_id TYPE short"
    )
    with brevo_only.engine.connect() as connection:
        (line,) = [each for each in check(connection, brevo_only.database.contacts()) if each.ok is False]
    assert "is domain short over character varying(20), but must be varchar" in line.detail
    brevo_only.script(line.remedy)
    with brevo_only.engine.connect() as connection:
        assert all(each.ok is not False for each in check(connection, brevo_only.database.contacts()))


def test_a_label_that_the_enum_of_a_domain_lacks_is_added_to_the_enum(fresh: World) -> None:
    fresh.script(
        "DROP INDEX contacts_crm_sync_brevo_queued;"
        "CREATE TYPE few AS ENUM ('New', 'Selected', 'Queued', 'Processing', 'Complete'); CREATE DOMAIN status AS few;"
        "ALTER TABLE contacts ALTER COLUMN brevo_sync_status DROP DEFAULT,"
        "ALTER COLUMN brevo_sync_status TYPE status USING brevo_sync_status::text::status"
    )
    with fresh.engine.connect() as connection:
        (line,) = [
            each for each in check(connection, fresh.database.contacts()) if each.subject == "Brevo: brevo_sync_status"
        ]
    assert line.remedy == "ALTER TYPE few ADD VALUE 'Error';"
    with fresh.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(line.remedy)
    assert fresh.upgrade() == ["built index contacts_crm_sync_brevo_queued"]
