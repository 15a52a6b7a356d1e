"""What the server, the role, the database or the environment sets for a session is not what we work with."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta, timezone
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.contact_queue.people.acts import Actor
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.contact_filter import ContactFilter
from crm_sync_pipeline.domain.explanation import explain
from crm_sync_pipeline.domain.outcome import Failed, Rejected
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline_tests.builders import USERS_TABLE, World, one_run

SETTINGS = [
    "DateStyle = 'German'",
    "DateStyle = 'SQL, DMY'",
    "DateStyle = 'Postgres, MDY'",
    "TimeZone = 'Asia/Kathmandu'",
    "TimeZone = 'America/Sao_Paulo'",
    "IntervalStyle = 'sql_standard'",
    "IntervalStyle = 'iso_8601'",
    "client_encoding = 'LATIN1'",
    "search_path = pg_temp, public",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_isolation = 'repeatable read'",
    "statement_timeout = '100ms'",
    "lock_timeout = '100ms'",
    "idle_in_transaction_session_timeout = '100ms'",
    "extra_float_digits = -15",
    "standard_conforming_strings = off",
    "bytea_output = 'escape'",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_whatever_the_database_sets_for_its_sessions_contacts_are_delivered(fresh: World, setting: str) -> None:
    with set_for_all(fresh, setting):
        ids = fresh.add("zoë@example.com", "b@example.com", "c@example.com", name="Zoë O'Hara \\ Łódź")
        one_run(fresh.queue(), Failed("http_503", "a \\ and a ' and a “”"))
        fresh.pass_time(timedelta(minutes=6))
        assert {contact.name for contact in claimed(fresh)} == {"Zoë O'Hara \\ Łódź"}
        fresh.pass_time(timedelta(minutes=10))
        one_run(fresh.queue(), size=10)
        assert {fresh.status(each) for each in ids} == {("Complete", "Complete")}
        facts = fresh.database.report().facts(CRMS["brevo"], ids[0], 3)
        assert facts.now.utcoffset() == timedelta(0)
        assert facts.synced_at is not None
        assert abs(facts.now - facts.synced_at) < timedelta(minutes=1)
        assert facts.attempts[0].message == "a \\ and a ' and a “”"
        assert fresh.database.clock().tzinfo is not None
        assert fresh.queue().figures.now().due == 0


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Pacific/Auckland"])
def test_times_that_are_called_utc_are_utc(fresh: World, zone: str) -> None:
    (contact,) = fresh.add("a@example.com")
    one_run(fresh.queue(), Failed("http_503", "no"))
    utc = fresh.value(
        "SELECT to_char(next_retry_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM crm_sync.deliveries"
    )
    with set_for_all(fresh, f"TimeZone = '{zone}'"):
        facts = fresh.database.report().facts(CRMS["brevo"], contact, 3)
        assert f"due at {utc} UTC" in explain(facts).next_step
        assert fresh.database.clock().astimezone(timezone.utc).utcoffset() == timedelta(0)


@contextmanager
def set_for_all(world: World, setting: str) -> Iterator[None]:
    """A setting of the database, which each new session starts with."""
    name = psycopg.conninfo.conninfo_to_dict(world.url)["dbname"]
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET {setting}")
    world.engine.dispose()
    yield
    world.engine.dispose()


def claimed(world: World) -> list[Contact]:
    queue = world.queue()
    return list(queue.contacts_of(queue.claim(10).token))


CURLY = "\N{RIGHT SINGLE QUOTATION MARK}"
ENCODINGS = {
    "LATIN1": "?",
    "WIN1252": CURLY,
    "LATIN9": "?",
    "KOI8R": "?",
    "EUC_JP": CURLY,
    "SQL_ASCII": CURLY,
    "UTF8": CURLY,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_message_that_the_database_has_no_signs_for_is_stored_as_far_as_it_fits(
    postgres: EmbeddedPostgres, encoding: str
) -> None:
    name = f"in_{encoding.lower()}"
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    world = World(postgres.url_of(name))
    try:
        world.script(USERS_TABLE)
        world.upgrade()
        first, second = sorted(world.add("a@example.com", "b@example.com"))
        settled = one_run(
            world.queue(), Rejected("invalid", f"It{CURLY}s not valid"), Failed("http_503", "日本 is closed")
        )
        assert settled.total == 2, "what was sent is recorded"
        assert world.contact(first)["brevo_processing_error"] == f"It{ENCODINGS[encoding]}s not valid"
        assert world.delivery(second)["retry_count"] == 1
        assert world.database.selection().find("a@example.com") in (first, second)
        assert matches(world, email_contains="日本@") == 0
    finally:
        engine_for(world.url).dispose()
        postgres.drop_database(name)


def test_no_message_of_a_vendor_keeps_a_result_from_being_recorded(world: World) -> None:
    odd = ["nul \x00 inside", "\ud800 half a pair", "\\u0000", "\x1b[31mred", CURLY * 3000]
    ids = world.add(*(f"p{number}@example.com" for number in range(len(odd))))
    for message in odd:
        assert one_run(world.queue(), Rejected("invalid", message), size=1).total == 1
    assert {world.status(each) for each in ids} == {("Queued", "Queued")}


def test_nor_one_that_opens_the_breaker_from_being_remembered(world: World) -> None:
    world.queue().breaker.open("http_403", "nul \x00 inside", after_probe=False)
    down = world.queue().breaker.state()
    assert down is not None
    assert down.message == "nul ? inside"


@pytest.mark.parametrize("collation", ["und-u-ks-level2", "de-DE", "en-u-kn-true"])
@pytest.mark.parametrize("is_deterministic", ["true", "false"])
def test_contacts_are_found_by_parts_of_an_address_whatever_its_collation(
    fresh: World, collation: str, is_deterministic: str
) -> None:
    try:
        fresh.execute(
            f"CREATE COLLATION odd (provider = icu, locale = '{collation}', deterministic = {is_deterministic})"
        )
    except sa.exc.NotSupportedError:
        pytest.skip("This PostgreSQL was built without ICU.")
    fresh.execute("ALTER TABLE contacts ALTER COLUMN email TYPE text COLLATE odd")
    fresh.execute("ALTER TABLE contacts ALTER COLUMN name TYPE varchar COLLATE odd")
    fresh.execute("ALTER TABLE contacts ALTER COLUMN brevo_processing_error TYPE text COLLATE odd")
    fresh.add("Anna@Example.com", name="Anna", selected=False)
    assert matches(fresh, email_contains="@example") == 1
    assert matches(fresh, email_contains="@exemple") == 0
    assert matches(fresh, name_contains="ANN") == 1
    fresh.database.selection().find("anna@example.com")
    act(fresh)
    one_run(fresh.queue(), Failed("http_503", "no"))
    assert fresh.database.report().errors(CRMS["brevo"])[0].reason == "http_503"
    assert matches(fresh, reasons=("http_503",)) == 1


def act(world: World) -> None:
    world.database.acts(Actor("tester")).carry_out("select", Which(), ["brevo"], everything=True)


def matches(world: World, **wanted: object) -> int:
    which = Which(None, ContactFilter(**wanted))  # type: ignore[arg-type] # each test names fields that there are
    return (
        world.database.acts(Actor("tester"))
        .carry_out("requeue" if "reasons" in wanted else "select", which, ["brevo"], dry_run=True)
        .contacts
    )


INFINITE = [
    "UPDATE contacts SET next_retry_at = '{}', last_failed_crm = 'brevo', brevo_sync_status = 'Queued'",
    "UPDATE contacts SET next_retry_at = '{}', last_failed_crm = 'hubspot'",
    "UPDATE contacts SET updated_at = '{}'",
    "UPDATE crm_sync.deliveries SET next_retry_at = '{}'",
    "UPDATE crm_sync.deliveries SET selected_at = '{}', synced_at = '{}', held_at = '{}'",
]


@pytest.mark.parametrize("moment", ["infinity", "-infinity"])
@pytest.mark.parametrize("change", INFINITE)
def test_times_without_end_are_read_as_far_as_python_has_them(world: World, change: str, moment: str) -> None:
    first, second = world.add("a@example.com", "b@example.com")
    one_run(world.queue(), Failed("http_503", "no"))
    world.execute(change.format(*3 * [moment]))
    queue, report = world.queue(), world.database.report()
    assert all_answers(world, [first, second])
    report.status(CRMS["brevo"])
    report.errors(CRMS["brevo"])
    queue.figures.now()
    queue.depth()
    queue.needs_recovery()
    queue.recover()


def all_answers(world: World, ids: list[UUID]) -> list[str]:
    return [
        explain(world.database.report().facts(CRMS["brevo"], each, 3), DESTINATIONS["brevo"].remedies).verdict
        for each in ids
    ]


def test_a_retry_that_another_program_put_off_for_ever_is_explained_as_that(world: World) -> None:
    (contact,) = world.add("a@example.com")
    world.execute(INFINITE[0].format("infinity"))
    assert world.queue().claim(1).size == 0
    answer = explain(world.database.report().facts(CRMS["brevo"], contact, 3), DESTINATIONS["brevo"].remedies)
    assert answer.verdict == "Not due: another program put its next retry off for ever, in the contacts table."
    world.unselect(contact)
    world.select(contact)
    assert world.queue().claim(1).size == 1


@pytest.mark.parametrize("option", ["schema=app", "currentSchema=app", "search_path=nowhere%2Capp", "schema=App+One"])
def test_the_schema_that_the_url_names_is_where_the_contacts_are(fresh: World, option: str) -> None:
    schema = "App One" if "One" in option else "app"
    fresh.script(f'CREATE SCHEMA "{schema}"; ALTER TABLE contacts SET SCHEMA "{schema}"')
    named = World(f"{fresh.url}&{option}")
    assert named.database.contacts().schema == schema
    said: list[str] = []
    assert named.database.upgrade(said.append).schema == schema
    assert not any("created table" in line for line in said)
    assert named.queue().depth() == 0
    named.engine.dispose()


def test_where_there_are_no_contacts_yet_they_are_created_in_the_schema_that_the_url_names(empty: World) -> None:
    named = World(f"{empty.url}&schema=app")
    assert named.database.upgrade(lambda _line: None).schema == "app"
    assert named.database.contacts().qualified == "app.contacts"
    named.engine.dispose()
