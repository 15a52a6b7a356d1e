"""Optional columns that are missing: `db check` and `check` name them, and the SQL that they print works."""

import json
import re

import pytest

from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.database.finding import Finding
from crm_sync_pipeline.contact_queue.people.acts import Actor
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.check import CheckReport, Line, State
from crm_sync_pipeline.domain.contact import SENT_FIELDS, Contact
from crm_sync_pipeline.domain.contact_filter import ContactFilter
from crm_sync_pipeline.monitoring.readiness import check as check_all
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.contact_queue.database.test_odd_tables import command

OPTIONAL = [name for name in SENT_FIELDS if name != "email"]


@pytest.fixture
def people(brevo_only: World) -> World:
    """A table without any of the optional columns."""
    brevo_only.execute("ALTER TABLE app.people DROP COLUMN name")
    return brevo_only


def columns(world: World, *definitions: str) -> None:
    for definition in definitions:
        world.execute(f"ALTER TABLE app.people ADD COLUMN {definition}")


def missing(world: World) -> dict[str, Finding]:
    found = [finding for finding in world.database.check() if finding.ok is None and finding.optional]
    return {finding.subject.removeprefix("Column "): finding for finding in found}


def similar(finding: Finding) -> list[str]:
    found = re.search(r"Similar: ([^.]*)", finding.detail)
    return found[1].split(", ") if found else []


def line_of(world: World, brevo: Brevo) -> Line | None:
    return next((line for line in check_all(world.database, brevo).lines if line.name == "Columns"), None)


def sent(world: World, brevo: Brevo, simulator: BrevoSimulator, email: str) -> dict[str, object]:
    """What Brevo holds of the one contact, once what is selected has been delivered."""
    queue = world.queue()
    batch = queue.claim(10)
    deliver_batch(queue, brevo, batch)
    assert queue.settle(batch.token).as_metadata()["complete"] == batch.size
    return dict(simulator.contacts[email].attributes)


@pytest.mark.parametrize("name", OPTIONAL)
def test_what_is_not_sent_without_a_column_is_what_brevo_would_get_from_it(brevo: Brevo, name: str) -> None:
    value = {"has_gmail": True, "phone_number": "+14155552671", "name": "Ann Lee"}.get(name, "x")
    contact = Contact(**{"id": None, "email": "a@example.com", name: value})  # type: ignore[arg-type]
    assert tuple(brevo.attributes(contact)) == CRMS["brevo"].carries[name]


def test_each_missing_column_is_absent_and_names_what_is_not_sent_and_the_table_is_ready_all_the_same(
    people: World,
    brevo: Brevo,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CRM_SYNC_CONTACTS_TABLE", "app.people")

    assert list(missing(people)) == OPTIONAL
    for name, finding in missing(people).items():
        assert finding.detail.startswith("app.people has no such column, and Brevo gets no ")
        assert all(attribute in finding.detail for attribute in CRMS["brevo"].carries[name])
        assert finding.remedy == ""
    assert command(people, monkeypatch, "db", "check") == 0
    said = capsys.readouterr().out
    assert said.endswith("The database is ready.\n")
    assert re.search(r"absent +Column phone_number +app.people has no such column, and Brevo gets no SMS", said)
    report = check_all(people.database, brevo)
    assert report.is_good
    line = line_of(people, brevo)
    assert line is not None
    assert line.state is State.YELLOW
    assert line.says == (
        f"app.people has no {', '.join(OPTIONAL)}; contacts are delivered without FIRSTNAME, LASTNAME, SMS, DOMAIN_ID, "
        "PAGE_ID, EMAIL_TYPE, SOURCE_URL, HAS_GMAIL"
    )
    assert line.to_do.startswith("Nothing, if you have no such data.")


def test_a_table_with_all_of_them_has_no_such_line(world: World, created: World, brevo: Brevo) -> None:
    for each in (world, created):
        assert missing(each) == {}
        assert line_of(each, brevo) is None


def test_a_table_that_serves_no_crm_is_not_asked_for_columns(empty: World) -> None:
    empty.script("CREATE TABLE contacts (id uuid, email text)")
    assert missing(empty) == {}


@pytest.mark.parametrize(
    ("name", "definition", "value", "attributes"),
    [
        ("phone_number", "phone varchar(40)", "'+1 415 555 2671'", {"SMS": "14155552671"}),
        ("phone_number", "mobile text", "'+1 415 555 2671'", {"SMS": "14155552671"}),
        ("phone_number", "telephone char(20)", "'+1 415 555 2671'", {"SMS": "14155552671"}),
        ("phone_number", '"phoneNumber" text', "'+1 415 555 2671'", {"SMS": "14155552671"}),
        ("phone_number", '"Téléphone" text', "'+1 415 555 2671'", {"SMS": "14155552671"}),
        ("phone_number", 'work_phone text COLLATE "C"', "'+1 415 555 2671'", {"SMS": "14155552671"}),
        ("phone_number", "phone a_phone", "'+1 415 555 2671'", {"SMS": "14155552671"}),
        ("name", "full_name text", "'Ann Lee'", {"FIRSTNAME": "Ann", "LASTNAME": "Lee"}),
        ("name", '"Name" varchar', "'Ann Lee'", {"FIRSTNAME": "Ann", "LASTNAME": "Lee"}),
        ("name", "contact_name text", "'Ann Lee'", {"FIRSTNAME": "Ann", "LASTNAME": "Lee"}),
        ("name", "name_ text GENERATED ALWAYS AS ('Ann Lee') STORED", None, {"FIRSTNAME": "Ann", "LASTNAME": "Lee"}),
        ("domain_id", "domain text", "'example.com'", {"DOMAIN_ID": "example.com"}),
        ("domain_id", "website varchar", "'example.com'", {"DOMAIN_ID": "example.com"}),
        ("domain_id", '"domainId" bigint', "12", {"DOMAIN_ID": "12"}),
        ("page_id", "page integer", "3", {"PAGE_ID": "3"}),
        ("email_type", "mail_type a_kind", "'FREE'", {"EMAIL_TYPE": "FREE"}),
        ("source_url", "source text", "'https://e.test'", {"SOURCE_URL": "https://e.test"}),
        ("has_gmail", "is_gmail boolean", "true", {"HAS_GMAIL": True}),
    ],
)
def test_a_similar_column_is_named_and_the_statement_has_its_values_delivered(
    people: World,
    brevo: Brevo,
    simulator: BrevoSimulator,
    name: str,
    definition: str,
    value: str | None,
    attributes: dict[str, object],
) -> None:
    people.script("CREATE DOMAIN a_phone AS varchar(30) NOT NULL DEFAULT ''; CREATE TYPE a_kind AS ENUM ('FREE')")
    columns(people, definition)
    people.add("a@example.com")
    if value is not None:
        (theirs,) = re.findall(r'^("[^"]+"|\w+)', definition)
        people.execute(f"UPDATE app.people SET {theirs} = {value}")
    assert len(similar(missing(people)[name])) == 1
    line = line_of(people, brevo)
    assert line is not None
    assert missing(people)[name].remedy in line.to_do

    people.script(missing(people)[name].remedy)

    assert name not in missing(people)
    assert all(finding.ok is not False for finding in people.database.check())
    assert sent(people, brevo, simulator, "a@example.com") == attributes


@pytest.mark.parametrize(
    ("definitions", "first", "last", "attributes"),
    [
        (("first_name text", "last_name text"), "Ann", "Lee", {"FIRSTNAME": "Ann", "LASTNAME": "Lee"}),
        (("prenom varchar(40)", "nom varchar(40)"), " Ann ", "de Lee ", {"FIRSTNAME": "Ann", "LASTNAME": "de Lee"}),
        (('"firstName" char(9)', '"lastName" char(9)'), "Ann", None, {"FIRSTNAME": "Ann"}),
        (("vorname text", "nachname text"), None, "Lee", {}),
        (("given_name text", "surname text"), " ", "Lee", {}),
        (
            ('fname text COLLATE "C"', 'lname text COLLATE "POSIX"'),
            "Ann",
            "Lee",
            {"FIRSTNAME": "Ann", "LASTNAME": "Lee"},
        ),
        (("first_name text",), "Ann", None, {"FIRSTNAME": "Ann"}),
        (
            ("first_name text GENERATED ALWAYS AS (split_part(email, '@', 1)) STORED", "last_name text"),
            None,
            "Lee",
            {"FIRSTNAME": "a", "LASTNAME": "Lee"},
        ),
    ],
)
def test_first_and_last_name_become_a_name_and_a_last_name_alone_is_not_sent_as_the_first(
    people: World,
    brevo: Brevo,
    simulator: BrevoSimulator,
    definitions: tuple[str, ...],
    first: str | None,
    last: str | None,
    attributes: dict[str, object],
) -> None:
    columns(people, *definitions)
    people.add("a@example.com")
    for definition, value in zip(definitions, (first, last), strict=False):
        if value is not None:
            people.execute(f"UPDATE app.people SET {definition.split()[0]} = :value", value=value)
    finding = missing(people)["name"]
    assert similar(finding) == [definition.split()[0].strip('"') for definition in definitions]

    people.script(finding.remedy.replace(" ", "\n    "))  # as a narrow terminal breaks it

    assert "\n" not in (people.value("SELECT name FROM app.people") or "")
    assert sent(people, brevo, simulator, "a@example.com") == attributes


def test_a_last_name_alone_is_similar_but_makes_no_name(people: World) -> None:
    columns(people, "surname text")
    assert similar(missing(people)["name"]) == ["surname"]
    assert missing(people)["name"].remedy == ""


def test_of_many_similar_columns_the_mobile_phone_is_taken_first_and_all_are_named(people: World, brevo: Brevo) -> None:
    columns(
        people, "telephone text", "phone text", "mobile text", "first_name text", "last_name text", "full_name text"
    )
    assert similar(missing(people)["phone_number"]) == ["mobile", "telephone", "phone"]
    assert similar(missing(people)["name"]) == ["full_name"]
    line = line_of(people, brevo)
    assert line is not None
    assert "mobile, telephone, phone (like phone_number)" in line.says
    assert "ADD COLUMN phone_number text GENERATED ALWAYS AS (mobile) STORED;" in line.to_do


@pytest.mark.parametrize(
    "definition",
    [
        "phone_verified boolean",
        "phone boolean",
        "phone_checked_at timestamptz",
        "phone jsonb",
        "mobile text[]",
        "company_name text",
        "user_name text",
        "page_count integer",
        "domain_score integer",
        "gmail timestamptz",
        "resource text",
    ],
)
def test_what_holds_something_else_is_not_similar(people: World, definition: str) -> None:
    columns(people, definition)
    assert all(similar(finding) == [] and not finding.remedy for finding in missing(people).values())


@pytest.mark.parametrize("theirs", ["mail", '"E-Mail"', "email_address", "work_email"])
def test_a_missing_address_is_copied_from_a_similar_column_and_not_added_empty(
    people: World, brevo: Brevo, simulator: BrevoSimulator, theirs: str
) -> None:
    people.add("a@example.com")
    people.execute(f"ALTER TABLE app.people RENAME COLUMN email TO {theirs}")
    (finding,) = [finding for finding in people.database.check() if finding.ok is False]
    assert "GENERATED ALWAYS AS" in finding.remedy
    people.script(finding.remedy)
    assert sent(people, brevo, simulator, "a@example.com") == {}


def test_db_check_prints_the_statement_whole_and_its_json_tells_what_is_optional(
    people: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    columns(people, "first_name text", "last_name text")
    monkeypatch.setenv("CRM_SYNC_CONTACTS_TABLE", "app.people")
    remedy = missing(people)["name"].remedy

    assert command(people, monkeypatch, "db", "check") == 0
    assert f"\n    {remedy}\n" in capsys.readouterr().out
    assert command(people, monkeypatch, "db", "check", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    (name,) = [each for each in found["findings"] if each["subject"] == "Column name"]
    assert (name["ok"], name["optional"], name["remedy"]) == (None, True, remedy)


def test_a_statement_with_bars_is_whole_in_the_table_of_the_ui(people: World, brevo: Brevo) -> None:
    columns(people, "first_name text", "last_name text")
    line = line_of(people, brevo)
    assert line is not None
    shown = CheckReport("Brevo", (line,)).as_markdown()
    assert missing(people)["name"].remedy in shown.replace(r"\|", "|")


WORDS = [
    ("text", "yes", True),
    ("text", "Ja", True),
    ("text", "t", True),
    ("text", " TRUE\n", True),
    ("text", "oui", True),
    ("text", "no", False),
    ("text", "Nein", False),
    ("text", "0", False),
    ("text", "FALSE", False),
    ("text", "perhaps", None),
    ("text", "", None),
    ("text", "10", None),
    ("text", "not yet", None),
    ("text", None, None),
    ("char(5)", "Y", True),
    ("char(5)", "n", False),
    ("varchar(3)", "1", True),
    ("integer", 1, True),
    ("smallint", 0, False),
    ("bigint", 2, None),
    ("integer", -1, None),
    ("an_answer", "Yes", True),
    ("an_answer", "Unknown", None),
    ("some_words", "si", True),
    ("jsonb", "true", True),
    ("timestamptz", "2026-01-01", None),
    ('text COLLATE "POSIX"', "ON", True),
]


@pytest.mark.parametrize(("kind", "value", "wanted"), WORDS)
def test_has_gmail_of_any_type_is_sent_as_a_boolean_where_it_is_clear_and_else_left_out(
    people: World, brevo: Brevo, simulator: BrevoSimulator, kind: str, value: object, wanted: bool | None
) -> None:
    people.script("CREATE TYPE an_answer AS ENUM ('Yes', 'No', 'Unknown'); CREATE DOMAIN some_words AS varchar(9)")
    columns(people, f"has_gmail {kind}")
    (contact,) = people.add("a@example.com", selected=False)
    people.execute(f"UPDATE app.people SET has_gmail = CAST(:value AS {kind.split()[0]})", value=value)
    which = Which(None, ContactFilter(has_gmail=bool(wanted)))

    assert people.database.acts(Actor("anna")).carry_out("select", which, ["brevo"]).contacts == 1

    kept = sent(people, brevo, simulator, "a@example.com")
    assert kept == ({} if wanted is None else {"HAS_GMAIL": wanted})
    (request,) = [each for each in simulator.requests if each.method == "POST"]
    assert request.json["attributes"].get("HAS_GMAIL") is wanted
    assert people.status(contact) == ("Complete", "Complete")


@pytest.mark.parametrize("kind", ["text", "integer", "an_answer", "some_words"])
def test_db_check_says_what_is_read_from_a_has_gmail_that_is_not_boolean(people: World, kind: str) -> None:
    people.script("CREATE TYPE an_answer AS ENUM ('Yes', 'No', 'Unknown'); CREATE DOMAIN some_words AS varchar(9)")
    columns(people, f"has_gmail {kind}")
    (finding,) = [finding for finding in people.database.check() if finding.subject == "Column has_gmail"]
    assert finding.ok is True
    assert re.match(rf".*\b{kind}\b.*, not boolean: true, t, yes,", finding.detail)
    assert finding.detail.endswith("anything else is not sent")


@pytest.mark.parametrize("kind", ["boolean", "a_flag"])
def test_a_boolean_has_gmail_is_read_and_fingerprinted_as_ever(people: World, kind: str) -> None:
    people.script("CREATE DOMAIN a_flag AS boolean")
    columns(people, f"has_gmail {kind}")
    people.add("a@example.com", has_gmail=False)
    queue = people.queue()
    (contact,) = queue.contacts_of(queue.claim(1).token)
    assert contact.has_gmail is False
    assert contact.fingerprint() == Contact(contact.id, "a@example.com", has_gmail=False).fingerprint()
    assert "CASE" not in str(DestinationColumns.of(people.database.contacts(), CRMS["brevo"]).has_gmail)
    assert "Column has_gmail" not in [finding.subject for finding in people.database.check()]
