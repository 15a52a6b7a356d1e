"""check: a red line for each thing that keeps deliveries from working, which is green once it is fixed."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.brevo.attributes import SENT_TYPES
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.check import CheckReport, Line, State
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.monitoring import readiness
from crm_sync_pipeline.monitoring.readiness import check
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.brevo.state import Attribute
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.contact_queue.roles import ON_CONTACTS, ON_OURS, a_role
from crm_sync_pipeline_tests.product import Product

GREEN = [
    "Database",
    "Clock of PostgreSQL",
    "Schema",
    "Key",
    "IP address",
    "Clock of Brevo",
    "List",
    "Attributes",
    "Breaker",
    "Due",
]
NOBODY_LISTENS = "http://127.0.0.1:1/v3"
KEY = "xkeysib-a-key-that-nobody-may-see"


@pytest.fixture
def brevo(brevo: Brevo) -> Brevo:
    return brevo.model_copy(update={"list_id": 1})


def red(report: CheckReport) -> Mapping[str, Line]:
    return {line.name: line for line in report.red}


def test_when_all_is_well_every_line_is_green_nothing_is_written_and_the_account_is_asked_once(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add_many(3)
    before = world.snapshot()

    report = check(world.database, brevo)

    assert [line.name for line in report.lines] == GREEN
    assert {line.state for line in report.lines} == {State.GREEN}
    assert report.is_good
    assert report.lines[-1].says == "3 contacts are due"
    assert [(each.method, each.path) for each in simulator.requests] == [
        ("GET", "/v3/account"),
        ("GET", "/v3/contacts/lists/1"),
        ("GET", "/v3/contacts/attributes"),
    ]
    assert world.snapshot() == before


@pytest.mark.parametrize(
    ("changes", "fault", "name", "says", "to_do"),
    [
        ({"api_key": ""}, "", "Key", "BREVO_API_KEY is not set", ""),
        ({"api_key": " "}, "", "Key", "(401): authentication not found in headers", "did not arrive; set a v3 key"),
        ({"api_key": KEY}, "", "Key", "(401): Key not found", "set a valid v3 key"),
        ({}, "status-401-ip", "IP address", "unrecognised IP address 203.0.113.7", "Allow this machine's address"),
        ({}, "status-403", "Brevo", "(403): Permission denied", "Look at your account"),
        ({"base_url": NOBODY_LISTENS}, "", "Brevo", "Connection to Brevo failed", "Look at the network"),
        ({"timeout_seconds": 0.2}, "hang", "Brevo", "did not answer within 0.2 seconds", "Look at the network"),
        ({}, "status-502-html", "Brevo", "(502): bad gateway", "Run the check again"),
        ({}, "unexpected-200", "Brevo", "does not speak as Brevo does (HTTP 200)", "Check BREVO_API_BASE_URL"),
        ({"list_id": 7}, "", "List", "Brevo has no list 7", "Set BREVO_LIST_ID"),
    ],
)
def test_what_brevo_refuses_is_one_red_line_with_what_to_do_and_green_once_mended(
    world: World,
    brevo: Brevo,
    simulator: BrevoSimulator,
    changes: Mapping[str, Any],
    fault: str,
    name: str,
    says: str,
    to_do: str,
) -> None:
    if fault:
        simulator.inject(f"{fault}:method=GET:path=/v3/account")

    report = check(world.database, brevo.model_copy(update=dict(changes)))

    assert not report.is_good
    (line,) = report.red
    assert line.name == name
    assert says in line.says
    assert to_do in line.to_do
    assert KEY not in str(report)
    assert {"Database", "Schema", "Due"} <= {line.name for line in report.lines}
    simulator.heal()
    assert check(world.database, brevo).is_good


def test_too_many_requests_at_the_account_leave_the_other_questions_to_answer_for_the_key(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    simulator.inject("status-429:method=GET:path=/v3/account")
    simulator.inject("status-429:method=GET:path=/v3/contacts/*:times=1:reset=0")

    report = check(world.database, brevo)

    assert report.is_good
    assert [line.name for line in report.lines if line.state is State.YELLOW] == ["Key"]
    assert "Key" in red(check(world.database, brevo.model_copy(update={"api_key": KEY})))


class TestAttributes:
    @pytest.fixture
    def simulator(self) -> BrevoSimulator:
        attributes = {"FIRSTNAME": "text", "LASTNAME": "text", "SMS": "text"}
        return BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], attributes=attributes))

    def test_those_that_brevo_would_drop_are_made_on_request_and_then_hold_what_is_delivered(
        self, world: World, brevo: Brevo, simulator: BrevoSimulator
    ) -> None:
        missing = ["DOMAIN_ID", "PAGE_ID", "EMAIL_TYPE", "SOURCE_URL", "HAS_GMAIL"]
        report = check(world.database, brevo)
        assert red(report).keys() == {"Attributes"}
        assert f"Brevo lacks {', '.join(missing)}, and drops" in red(report)["Attributes"].says
        assert "--create-fields" in red(report)["Attributes"].to_do

        report = check(world.database, brevo, create_fields=True)

        assert report.is_good
        (made,) = [line for line in report.lines if line.name == "Attributes made"]
        assert [word.split()[0] for word in made.says.split(", ")] == missing
        assert "HAS_GMAIL (boolean)" in made.says
        assert {simulator.account.attributes[name] for name in missing} == {
            Attribute(name, "normal", SENT_TYPES[name]) for name in missing
        }
        again = check(world.database, brevo, create_fields=True)
        assert again.is_good
        assert "Attributes made" not in [line.name for line in again.lines]
        (contact,) = world.add("jane@example.com", has_gmail=True, source_url="https://example.com/about")
        queue = world.queue()
        batch = queue.claim(1)
        deliver_batch(queue, brevo, batch)
        queue.settle(batch.token)
        assert world.status(contact) == ("Complete", "Complete")
        stored = simulator.contacts["jane@example.com"].attributes
        assert stored["HAS_GMAIL"] is True
        assert stored["SOURCE_URL"] == "https://example.com/about"

    def test_one_of_another_type_is_red_and_one_with_a_choice_of_labels_is_worth_knowing(
        self, world: World, brevo: Brevo, simulator: BrevoSimulator
    ) -> None:
        check(world.database, brevo, create_fields=True)
        attributes = simulator.account.attributes
        attributes["HAS_GMAIL"] = Attribute("HAS_GMAIL", "normal", "text")
        attributes["PAGE_ID"] = Attribute("PAGE_ID", "calculated", "text")
        attributes["EMAIL_TYPE"] = Attribute("EMAIL_TYPE", "category", None, ((1, "FREE"),))

        report = check(world.database, brevo, create_fields=True)

        assert red(report).keys() == {"Attribute HAS_GMAIL", "Attribute PAGE_ID"}
        assert "is of type text at Brevo" in red(report)["Attribute HAS_GMAIL"].says
        assert "it must be a normal one of type boolean" in red(report)["Attribute HAS_GMAIL"].says
        assert [line.name for line in report.lines if line.state is State.YELLOW] == ["Attribute EMAIL_TYPE"]
        del attributes["HAS_GMAIL"], attributes["PAGE_ID"]  # as the line says to do
        assert check(world.database, brevo, create_fields=True).is_good

    @pytest.mark.parametrize(
        ("theirs", "missing"),
        [
            (("PRENOM", "NOM"), ("FIRSTNAME", "LASTNAME")),
            (("VORNAME", "NACHNAME"), ("FIRSTNAME", "LASTNAME")),
            (("NOMBRE", "APELLIDOS"), ("FIRSTNAME", "LASTNAME")),
            (("NOME", "COGNOME"), ("FIRSTNAME", "LASTNAME")),
            (("FNAME", "LNAME"), ("FIRSTNAME", "LASTNAME")),
            (("SURNAME",), ("LASTNAME",)),
        ],
    )
    def test_an_account_with_names_of_another_language_is_told_of_both_and_gets_none_beside_them(
        self,
        world: World,
        brevo: Brevo,
        simulator: BrevoSimulator,
        theirs: tuple[str, ...],
        missing: tuple[str, ...],
    ) -> None:
        attributes = simulator.account.attributes
        for name in missing:
            del attributes[name]
        for name in theirs:
            attributes[name] = Attribute(name, "normal", "text")
        assert not {*missing} & {*red(check(world.database, brevo))["Attributes"].says.replace(",", "").split()}

        report = check(world.database, brevo, create_fields=True)

        assert report.is_good
        assert not {*missing} & attributes.keys()
        (line,) = [line for line in report.lines if line.state is State.YELLOW]
        ours, other = " and ".join(missing), " and ".join(theirs)
        assert line.says == f"the account has {other}, not {ours}; Brevo drops what is sent for {ours}"
        assert f"create {ours} (normal, type text)" in line.to_do
        for name in missing:  # as the line says to do
            attributes[name] = Attribute(name, "normal", "text")
        assert {line.state for line in check(world.database, brevo).lines} == {State.GREEN}

    def test_what_only_has_such_a_name_is_not_taken_for_one_of_another_language(
        self, world: World, brevo: Brevo, simulator: BrevoSimulator
    ) -> None:
        attributes = simulator.account.attributes
        del attributes["FIRSTNAME"], attributes["LASTNAME"]
        attributes["PRENOM"] = Attribute("PRENOM", "calculated", "text")
        attributes["NOM"] = Attribute("NOM", "normal", "float")
        assert "Brevo lacks FIRSTNAME, LASTNAME, " in red(check(world.database, brevo))["Attributes"].says
        check(world.database, brevo, create_fields=True)
        assert {"FIRSTNAME", "LASTNAME"} <= attributes.keys()

    @pytest.mark.parametrize(
        ("fault", "name", "says", "made"),
        [
            (
                "status-500-empty",
                "Attribute PAGE_ID",
                "not made: Brevo API error (500)",
                "DOMAIN_ID (text), EMAIL_TYPE",
            ),
            ("reset-before-write", "Brevo", "Connection to Brevo failed", "DOMAIN_ID (text)"),
        ],
    )
    def test_one_that_brevo_does_not_let_us_make_stays_missing_and_says_why_and_those_made_are_told(
        self, world: World, brevo: Brevo, simulator: BrevoSimulator, fault: str, name: str, says: str, made: str
    ) -> None:
        simulator.inject(f"{fault}:method=POST:path=*/PAGE_ID")

        report = check(world.database, brevo, create_fields=True)

        assert red(report).keys() == {name, "Attributes"}
        assert says in red(report)[name].says
        assert "Brevo lacks PAGE_ID" in red(report)["Attributes"].says
        (told,) = [line.says for line in report.lines if line.name == "Attributes made"]
        assert told.startswith(made)


class TestPhoneNumbers:
    def test_those_that_are_left_out_are_counted_with_why_and_what_to_do(self, world: World, brevo: Brevo) -> None:
        world.add("a@example.com", phone_number="+49 30 901820")
        world.add("b@example.com", "c@example.com", phone_number="030 901820")
        world.add("d@example.com", phone_number="+49 12")
        world.add("e@example.com")

        (line,) = numbers(check(world.database, brevo))

        assert line.state is State.YELLOW
        assert line.says == (
            "3 of the 5 contacts due or delivered lately have a phone number that is left out, because it lacks a "
            "country code (see BREVO_PHONE_REGION) (2); is not valid (1)"
        )
        assert line.to_do.startswith("Set BREVO_PHONE_REGION to the country whose numbers have no country code. ")
        assert re.search("`crm-sync explain [0-9a-f-]{36}` shows one of them.", line.to_do)
        (line,) = numbers(check(world.database, brevo.model_copy(update={"phone_region": "DE"})))
        assert line.says.startswith("1 of the 5 contacts")
        assert "BREVO_PHONE_REGION" not in line.to_do

    def test_those_delivered_count_as_those_due_and_neither_phone_number_nor_address_is_shown(
        self, world: World, brevo: Brevo
    ) -> None:
        world.add("a@example.com", phone_number="030 901820")
        queue = world.queue()
        batch = queue.claim(10)
        deliver_batch(queue, brevo, batch)
        queue.settle(batch.token)
        world.add("b@example.com", phone_number="030 901821")

        report = check(world.database, brevo)

        assert numbers(report)[0].says.startswith("2 of the 2 contacts due or delivered lately")
        assert "9018" not in str(report)
        assert "example.com" not in str(report)
        world.execute("UPDATE contacts SET phone_number = '+49 30 901820'")
        assert numbers(check(world.database, brevo)) == []

    def test_no_more_are_looked_at_than_a_thousand_of_each(
        self, world: World, brevo: Brevo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(readiness, "LOOKED_AT", 7)
        world.add_many(20)
        world.execute("UPDATE contacts SET phone_number = '030 901820'")
        queue = world.queue()
        batch = queue.claim(10)
        deliver_batch(queue, brevo, batch)
        queue.settle(batch.token)

        (line,) = numbers(check(world.database, brevo))

        assert line.says.startswith("14 of the 14 contacts due or delivered lately")

    def test_a_table_without_a_column_for_them_has_nothing_to_say(self, fresh: World, brevo: Brevo) -> None:
        fresh.add("a@example.com")
        fresh.execute("ALTER TABLE contacts DROP COLUMN phone_number")
        assert numbers(check(fresh.database, brevo)) == []


def numbers(report: CheckReport) -> list[Line]:
    return [line for line in report.lines if line.name == "Phone numbers"]


def test_each_attribute_that_can_be_sent_is_asked_for(brevo: Brevo) -> None:
    everything = Contact(uuid4(), "a@example.com", "A B", "+1 415 555 2671", "1", "2", "FREE", "https://x.test", True)

    sent = brevo.attributes(everything)

    assert sent.keys() == SENT_TYPES.keys()
    assert {name: "boolean" if isinstance(value, bool) else "text" for name, value in sent.items()} == SENT_TYPES


@pytest.mark.parametrize("url", ["", "postgresql://me:sesame@127.0.0.1:1/crm"])
def test_a_database_that_is_not_there_is_one_red_line_and_brevo_is_asked_all_the_same(brevo: Brevo, url: str) -> None:
    report = check(World(url).database, brevo)

    assert red(report).keys() == {"Database"}
    assert ("DATABASE_URL is not set" if not url else "at 127.0.0.1:1 can't be used") in red(report)["Database"].says
    assert "sesame" not in str(report)
    assert [line.name for line in report.lines] == ["Database", *GREEN[3:8]]


def test_a_proxy_that_can_not_be_read_is_a_red_line(
    world: World, brevo: Brevo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "::bad")

    report = check(world.database, brevo)

    assert red(report).keys() == {"Brevo"}
    assert red(report)["Brevo"].to_do == "Check the proxy settings of this machine."


def test_a_schema_that_lacks_something_is_red_with_the_statement_that_mends_it(world: World, brevo: Brevo) -> None:
    world.execute("ALTER TABLE contacts DROP COLUMN hubspot_processing_error")
    assert check(world.database, brevo).is_good, "another destination's column is not needed"
    world.execute("ALTER TABLE contacts DROP COLUMN brevo_processing_error")

    line = red(check(world.database, brevo))["Schema"]

    assert "Column brevo_processing_error of public.contacts is missing" in line.says
    world.execute(line.to_do)
    assert check(world.database, brevo).is_good
    world.execute("DROP SCHEMA crm_sync CASCADE")
    assert red(check(world.database, brevo))["Schema"].to_do == "crm-sync db upgrade"
    world.upgrade()
    assert check(world.database, brevo).is_good


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("", "Rights on schema crm_sync: role "),
        (
            ON_OURS + "ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;",
            "Row-level security of public.contacts: it applies",
        ),
        (
            ON_OURS + "ALTER ROLE {role} SET default_transaction_read_only = on;",
            "Writing: default_transaction_read_only",
        ),
        (
            ON_OURS + "CREATE RULE log_it AS ON UPDATE TO contacts DO ALSO NOTIFY it;",
            "Rules: Rule log_it of public.",
        ),
    ],
)
def test_what_keeps_our_role_from_the_rows_is_red_with_what_to_do(
    fresh: World, brevo: Brevo, script: str, says: str
) -> None:
    with a_role(fresh, ON_CONTACTS + script) as (_, theirs):
        line = red(check(theirs.database, brevo))["Schema"]
        assert line.says.startswith(says)
        fresh.script(line.to_do)
        theirs.engine.dispose()
        assert check(theirs.database, brevo).is_good


def test_a_table_without_any_of_the_destinations_columns_is_red(world: World, brevo: Brevo) -> None:
    world.execute("ALTER TABLE contacts DROP COLUMN brevo_sync_status, DROP COLUMN brevo_processing_status")

    assert "ADD COLUMN brevo_sync_status" in red(check(world.database, brevo))["Schema"].says


@pytest.mark.parametrize(
    ("minutes", "state", "says"), [(1, State.YELLOW, "ahead"), (-1, State.YELLOW, "behind"), (60, State.RED, "ahead")]
)
def test_a_clock_that_is_wrong_is_told_against_both_others(
    world: World, brevo: Brevo, minutes: int, state: State, says: str
) -> None:
    report = check(world.database, brevo, clock=lambda: datetime.now(timezone.utc) + timedelta(minutes=minutes))

    clocks = [line for line in report.lines if line.name.startswith("Clock")]
    assert [(line.name, line.state) for line in clocks] == [("Clock of PostgreSQL", state), ("Clock of Brevo", state)]
    assert all(says in line.says for line in clocks)


def test_an_open_breaker_is_worth_knowing_and_says_how_to_close_it(world: World, brevo: Brevo) -> None:
    world.queue().breaker.open("wrong_api_key", "Brevo refused BREVO_API_KEY.")

    report = check(world.database, brevo)

    (line,) = [line for line in report.lines if line.state is not State.GREEN]
    assert (line.name, line.state) == ("Breaker", State.YELLOW)
    assert line.says == "open, nothing is sent: Brevo refused BREVO_API_KEY."
    assert "`crm-sync resume brevo`" in line.to_do


def test_the_job_shows_the_lines_and_fails_with_the_names_of_the_red_ones(product: Product) -> None:
    def run(**config: object) -> dg.ExecuteInProcessResult:
        ops = {"ask_whether_it_works": {"config": {"destination": "brevo", **config}}}
        return product.definitions.resolve_job_def("check_destination").execute_in_process(
            instance=product.instance, run_config={"ops": ops} if config else None, raise_on_error=False
        )

    done = run()
    assert done.success
    (output,) = done.filter_events(lambda event: event.event_type is dg.DagsterEventType.STEP_OUTPUT)
    assert "| green | Key | Brevo takes it" in str(output.step_output_data.metadata["lines"].value)

    del product.simulator.account.attributes["PAGE_ID"]
    product.set(BREVO_LIST_ID="7")
    error = run().failure_data_for_node("ask_whether_it_works")
    assert error is not None
    assert error.user_failure_data is not None
    assert error.user_failure_data.description == "Brevo is not ready: List, Attributes. Nothing was sent."
    assert "| red | List | Brevo has no list 7" in str(error.user_failure_data.metadata["lines"].value)

    product.unset("BREVO_LIST_ID")
    assert run(create_fields=True).success
    assert not run(destination="salesforce").success


@pytest.mark.parametrize(
    ("omits", "says", "to_do"),
    [(True, "delivered without it", "`crm-sync explain"), (False, r"refused \(sms_in_use\)", "BREVO_SMS_IN_USE=omit")],
)
def test_numbers_that_several_contacts_share_are_a_yellow_line(
    world: World, brevo: Brevo, omits: bool, says: str, to_do: str
) -> None:
    world.add("a@example.com", "b@example.com", "c@example.com", phone_number="+1 415 555 2671")
    world.add("A@example.com ", phone_number="001 415 555 2671")
    world.add("other@example.com", phone_number="+1 415 555 2672")
    report = check(world.database, brevo.model_copy(update={"sms_in_use": "omit" if omits else "reject"}))
    (line,) = [line for line in report.lines if line.name == "Shared numbers"]
    assert line.state is State.YELLOW
    assert re.match(rf"2 of the 5 contacts .* the others are {says}$", line.says)
    assert to_do in line.to_do


def test_one_number_in_rows_with_one_address_is_not_shared(world: World, brevo: Brevo) -> None:
    world.add("a@example.com", "A@example.com", phone_number="+1 415 555 2671")
    assert "Shared numbers" not in [line.name for line in check(world.database, brevo).lines]
