"""What `crm-sync check` says of an account, before a contact is sent."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any

import pytest

from crm_sync_pipeline.destinations.hubspot.destination import Hubspot
from crm_sync_pipeline.domain.check import Line, State
from crm_sync_pipeline.monitoring.readiness import check
from crm_sync_pipeline.simulators.hubspot import (
    DEFAULT_KEY,
    PLANS,
    HubspotConfig,
    HubspotLimits,
    HubspotSimulator,
    Property,
)
from crm_sync_pipeline.simulators.hubspot.config import READ, READ_SCHEMAS, WRITE
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World

UNLIMITED = PLANS["unlimited"]
Ask = Callable[..., dict[str, Line]]


def noon() -> datetime:
    return datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def ask() -> Iterator[Ask]:
    """The lines of a check by their names; `simulator` or `config` is the account, the rest is the destination's."""
    with ExitStack() as stack:

        def check(
            config: HubspotConfig | None = None,
            simulator: HubspotSimulator | None = None,
            create_fields: bool = False,
            **changes: Any,
        ) -> dict[str, Line]:
            account = simulator or HubspotSimulator(config or HubspotConfig(limits=UNLIMITED))
            server = stack.enter_context(running(account.app))
            hubspot = Hubspot(**{"base_url": server.base_url, "api_key": DEFAULT_KEY, **changes})

            async def work() -> Sequence[Line]:
                async with hubspot.client() as client:
                    return await hubspot.check(client, create_fields=create_fields, clock=noon)

            lines = asyncio.run(work())
            assert not account.contacts, "a check sends no contact"
            assert len({line.name for line in lines}) == len(lines)
            return {line.name: line for line in lines}

        yield check


def states(lines: dict[str, Line]) -> dict[str, str]:
    return {name: line.state.value for name, line in lines.items()}


GREEN = dict.fromkeys(("Key", "Time zone", "Scope to read", "Scope to write", "Properties"), "green")


@pytest.mark.parametrize("prefix", ["/crm/v3/objects/contacts", "/crm/objects/2026-03/0-1"])
def test_a_good_account_is_green(ask: Ask, prefix: str) -> None:
    lines = ask(path_prefix=prefix)
    assert states(lines) == GREEN
    assert lines["Key"].says == "HubSpot takes it, for account 1234567"


def test_a_refused_key_ends_the_check_and_says_what_is_odd_about_it(ask: Ask) -> None:
    lines = ask(api_key="00000000-0000-4000-8000-000000000001")
    assert states(lines) == {"Key": "red"}
    assert "old API keys" in lines["Key"].to_do
    assert "00000000" not in f"{lines}"


@pytest.mark.parametrize(
    ("scopes", "red"), [({READ, READ_SCHEMAS}, "Scope to write"), ({WRITE, READ_SCHEMAS}, "Scope to read")]
)
def test_a_missing_scope_is_named(ask: Ask, scopes: set[str], red: str) -> None:
    lines = ask(HubspotConfig(limits=UNLIMITED, scopes=frozenset(scopes)))
    assert [name for name, line in lines.items() if line.state is State.RED] == [red]
    assert ({READ, WRITE} - scopes).pop() in lines[red].says


def test_properties_that_may_not_be_read_are_no_reason_not_to_send(ask: Ask) -> None:
    lines = ask(HubspotConfig(limits=UNLIMITED, scopes=frozenset({WRITE})))
    assert lines["Properties"].state is State.YELLOW
    assert READ_SCHEMAS in lines["Properties"].says


def test_missing_properties_are_named_and_made(ask: Ask) -> None:
    simulator = HubspotSimulator(HubspotConfig(limits=UNLIMITED, properties=(Property("scrapersky_page_id"),)))
    lines = ask(simulator=simulator)
    assert lines["Properties"].state is State.RED
    assert "HubSpot lacks scrapersky_domain_id, scrapersky_sync_date" in lines["Properties"].says
    assert "--create-fields" in lines["Properties"].to_do
    lines = ask(simulator=simulator, create_fields=True)
    assert lines["Properties made"].says == "scrapersky_domain_id, scrapersky_sync_date"
    assert states(lines) == {**GREEN, "Properties made": "green"}
    assert states(ask(simulator=simulator, create_fields=True)) == GREEN
    assert simulator.account.properties["scrapersky_sync_date"].type == "string"


def test_properties_that_may_not_be_made_are_red_and_the_scope_is_named(ask: Ask) -> None:
    config = HubspotConfig(limits=UNLIMITED, properties=(), scopes=frozenset({READ, WRITE, READ_SCHEMAS}))
    lines = ask(config, create_fields=True)
    assert lines["Property scrapersky_page_id"].state is State.RED
    assert "crm.schemas.contacts.write" in lines["Property scrapersky_page_id"].to_do
    assert lines["Properties"].state is State.RED


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Property("scrapersky_page_id", "number", "number"), "is of type number"),
        (Property("scrapersky_page_id", "enumeration", "select", options=("a",)), "is of type enumeration"),
        (Property("scrapersky_page_id", read_only=True), "can't be written"),
        (Property("scrapersky_page_id", field_type="calculation_equation"), "can't be written"),
        (Property("scrapersky_page_id", unique=True), "a value of its own for each contact"),
    ],
)
def test_a_property_that_would_refuse_what_is_written_is_red(ask: Ask, wrong: Property, says: str) -> None:
    others = (Property("scrapersky_domain_id"), Property("scrapersky_sync_date", "date", "date"))
    lines = ask(HubspotConfig(limits=UNLIMITED, properties=(wrong, *others)))
    assert lines["Property scrapersky_page_id"].state is State.RED
    assert says in lines["Property scrapersky_page_id"].says
    assert "HUBSPOT_CUSTOM_PROPERTY_PAGE_ID" in lines["Property scrapersky_page_id"].to_do
    assert "Property scrapersky_sync_date" not in lines, "a date takes the day"


def test_rules_for_values_are_worth_knowing(ask: Ask) -> None:
    simulator = HubspotSimulator(HubspotConfig(limits=UNLIMITED))
    simulator.account.properties["phone"] = Property("phone", rule=("MAX_LENGTH", "5"))
    simulator.account.properties["city"] = Property("city", rule=("MAX_LENGTH", "5"))
    lines = ask(simulator=simulator)
    assert states(lines) == {**GREEN, "Property phone": "yellow"}
    assert "MAX_LENGTH" in lines["Property phone"].says


def test_a_version_that_enforces_what_can_not_be_read_is_worth_knowing(ask: Ask) -> None:
    lines = ask(path_prefix="/crm/objects/2026-09/contacts")
    assert states(lines) == {**GREEN, "Required properties": "yellow"}


@pytest.mark.parametrize(
    ("theirs", "ours", "state"),
    [
        ("US/Eastern", "America/New_York", "green"),
        ("Europe/Berlin", "Europe/Vienna", "green"),
        ("Europe/Berlin", "UTC", "yellow"),
        ("Europe/London", "UTC", "yellow"),
        ("Africa/Algiers", "Europe/Berlin", "yellow"),
    ],
)
def test_the_time_zone_is_compared_by_what_clocks_show_all_year(ask: Ask, theirs: str, ours: str, state: str) -> None:
    line = ask(HubspotConfig(limits=UNLIMITED, time_zone=theirs), time_zone=ours)["Time zone"]
    assert line.state.value == state
    assert (line.to_do == f"Set HUBSPOT_TIME_ZONE={theirs}.") is (state == "yellow")


def test_the_wrong_version_is_told(ask: Ask) -> None:
    lines = ask(path_prefix="/crm/objects/2031-03/contacts")
    assert lines["HubSpot"].state is State.RED
    assert "HUBSPOT_PATH_PREFIX" in lines["HubSpot"].to_do


def test_a_spent_day_is_told(ask: Ask) -> None:
    lines = ask(HubspotConfig(limits=HubspotLimits(None, 1)))
    assert lines["HubSpot"].state is State.RED
    assert "daily limit" in lines["HubSpot"].says


def test_the_limit_of_ten_seconds_is_waited_for(ask: Ask) -> None:
    simulator = HubspotSimulator(HubspotConfig(limits=UNLIMITED))
    simulator.inject("status-429:reset=0.1:times=1:method=GET:path=/crm/v3/properties/contacts")
    assert states(ask(simulator=simulator)) == GREEN


@pytest.mark.parametrize(
    "fault", ["unexpected-200", "garbage-201", "status-502-html", "reset-before-write", "status-402"]
)
@pytest.mark.parametrize("path", ["/account-info/v3/details", "/crm/v3/properties/contacts"])
def test_whatever_is_answered_is_a_line_and_no_error(ask: Ask, fault: str, path: str) -> None:
    simulator = HubspotSimulator(HubspotConfig(limits=UNLIMITED))
    simulator.inject(f"{fault}:method=*:path={path}")
    lines = ask(simulator=simulator)
    assert lines["HubSpot"].state is State.RED


def test_columns_that_hubspot_is_not_sent_are_not_missed(fresh: World) -> None:
    fresh.execute("ALTER TABLE contacts DROP COLUMN email_type, DROP COLUMN source_url")
    hubspot = Hubspot(base_url="http://127.0.0.1:1", api_key=DEFAULT_KEY)
    assert "Columns" not in {line.name for line in check(fresh.database, hubspot).lines}
    fresh.execute("ALTER TABLE contacts DROP COLUMN phone_number")
    (line,) = [line for line in check(fresh.database, hubspot).lines if line.name == "Columns"]
    assert "has no phone_number; contacts are delivered without phone" in line.says


def test_nobody_listening_is_told(ask: Ask) -> None:
    lines = ask(base_url="http://127.0.0.1:1")
    assert states(lines) == {"HubSpot": "red"}
    assert "HUBSPOT_API_BASE_URL" in lines["HubSpot"].to_do
