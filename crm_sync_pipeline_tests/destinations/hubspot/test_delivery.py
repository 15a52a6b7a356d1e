"""Contacts that go to HubSpot, through the real engine: a hundred in a request, and each with a result of its own."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from crm_sync_pipeline.destinations.hubspot import destination
from crm_sync_pipeline.destinations.hubspot.answers import REMEDIES
from crm_sync_pipeline.simulators.hubspot import PLANS, HubspotConfig, HubspotLimits, Property
from crm_sync_pipeline_tests.destinations.hubspot.conftest import Account, Open

UNLIMITED = PLANS["unlimited"]
RETRY = timedelta(minutes=6)
NAMES = ("scrapersky_domain_id", "scrapersky_page_id", "scrapersky_sync_date")


def properties(*names: str) -> tuple[Property, ...]:
    return tuple(map(Property, names))


def test_250_contacts_go_in_three_requests_and_each_has_the_id_that_hubspot_gave_it(account: Account) -> None:
    ids = account.add(*(f"p{number}@example.com" for number in range(250)), name="Ann Bee", phone_number="+1 415 555")
    tally = account.run()
    assert sorted(size for _, size in account.steps()) == [50, 100, 100]
    assert (tally.requests, tally.reasons) == (3, {"created": 250})
    for number, contact in enumerate(ids):
        held = account.simulator.contacts[f"p{number}@example.com"]
        assert (account.status(contact), account.remote_id(contact)) == ("Complete", held.id)
    held = account.simulator.contacts["p0@example.com"]
    row = account.world.contact(ids[0])
    sent = {"firstname": "Ann", "lastname": "Bee", "phone": "+1 415 555", "scrapersky_sync_date": destination.today()}
    sent |= {"scrapersky_domain_id": str(row["domain_id"]), "scrapersky_page_id": str(row["page_id"])}
    assert {name: held.properties.get(name) for name in sent} == sent
    assert "lifecyclestage" not in held.properties


@pytest.mark.parametrize("switch", ["none", "strict_errors", "groups_errors", "echoes_trace_ids"])
@pytest.mark.parametrize("prefix", ["/crm/v3/objects/contacts", "/crm/objects/2026-09/0-1"])
def test_of_many_contacts_exactly_the_bad_ones_come_back(open_account: Open, switch: str, prefix: str) -> None:
    switches: dict[str, Any] = {} if switch == "none" else {switch: True}
    account = open_account(HubspotConfig(limits=UNLIMITED, **switches), path_prefix=prefix)
    good = account.add(*(f"p{number}@example.com" for number in range(120)))
    bad = account.add("no-address", "neither@", "a@b@example.com")
    account.run()
    assert [each for each in good if account.status(each) != "Complete"] == []
    assert len(account.steps()) == 2
    for contact in bad:
        assert account.status(contact) == "Queued"
        assert account.world.delivery(contact, "hubspot")["retry_count"] == 1
        assert "Email address" in account.error(contact)
        assert "is invalid" in account.error(contact)
        assert "example.com" not in account.error(contact).replace("@example.com", "")
    account.change(bad[0], email="p-right@example.com")
    account.world.pass_time(RETRY)
    account.run()
    assert account.status(bad[0]) == "Complete"


def test_a_request_that_is_refused_as_a_whole_is_halved_until_the_bad_contact_is_alone(open_account: Open) -> None:
    config = HubspotConfig(limits=UNLIMITED, partial_2026_09="400")
    account = open_account(config, path_prefix="/crm/objects/2026-09/contacts")
    good, bad = account.add(*(f"p{number}@example.com" for number in range(15))), account.add("no-address")
    account.run()
    assert {account.status(each) for each in good} == {"Complete"}
    assert "Email address … is invalid" in account.error(bad[0])
    assert len(account.steps()) == 9  # one whole, and two halves of each of 16, 8, 4 and 2


def test_results_are_read_where_2026_09_answers_200_to_a_batch_of_which_some_failed(open_account: Open) -> None:
    config = HubspotConfig(limits=UNLIMITED, partial_2026_09="200")
    account = open_account(config, path_prefix="/crm/objects/2026-09/contacts")
    good, bad = account.add("ann@example.com"), account.add("no-address")
    account.run()
    assert (account.status(good[0]), account.status(bad[0])) == ("Complete", "Queued")


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"secondary_address": "conflict"},
        {"secondary_address": "conflict", "names_existing": False},
        {"echoes_trace_ids": True},
    ],
)
def test_a_contact_whose_address_is_somebodys_secondary_one_is_delivered_with_the_true_id(
    open_account: Open, switches: dict[str, Any]
) -> None:
    account = open_account(HubspotConfig(limits=UNLIMITED, **switches))
    account.add("ann@example.com")
    account.run()
    (held,) = account.simulator.contacts.values()
    account.edit(held.id, hs_additional_emails="ann.bee@example.com")
    (second,) = account.add("ann.bee@example.com", name="Ann Bee")
    others = account.add("bob@example.com", "cyd@example.com")
    tally = account.run()
    assert [account.status(each) for each in (second, *others)] == ["Complete"] * 3
    assert account.remote_id(second) == held.id
    assert account.simulator.contacts["ann@example.com"].properties["firstname"] == "Ann"
    assert len(account.simulator.contacts) == 3
    assert set(tally.reasons) <= {"created", "updated"}
    assert f"HubSpot has its address as a secondary one of contact {held.id}" in account.verdict(second).verdict
    account.change(second, name="Ann Dee")
    account.run()
    assert account.simulator.contacts["ann@example.com"].properties["lastname"] == "Dee"
    assert account.remote_id(second) == held.id


def test_both_the_primary_and_the_secondary_address_may_be_in_one_request(account: Account) -> None:
    (first,) = account.add("ann@example.com")
    account.run()
    account.edit("101", hs_additional_emails="ann.bee@example.com")
    (second,) = account.add("ann.bee@example.com")
    account.change(first, name="Ann")
    account.run()
    assert [account.status(each) for each in (first, second)] == ["Complete", "Complete"]
    assert account.remote_id(first) == account.remote_id(second) == "101"


def test_a_field_that_the_row_has_lost_is_emptied_once(account: Account) -> None:
    (ann,) = account.add("ann@example.com", name="Ann Bee", phone_number="123")
    account.run()
    account.change(ann, phone_number=None, name="Ann")
    account.run()
    held = account.simulator.contacts["ann@example.com"].properties
    assert (held.get("firstname"), held.get("lastname"), held.get("phone")) == ("Ann", None, None)
    account.edit("101", phone="by hand")
    account.change(ann, name="Anna")
    account.run()
    assert account.simulator.contacts["ann@example.com"].properties["phone"] == "by hand"


def test_a_field_that_cannot_be_emptied_does_not_stop_the_contact(account: Account) -> None:
    (ann,) = account.add("ann@example.com", phone_number="123")
    account.run()
    del account.simulator.account.properties["phone"]
    account.change(ann, phone_number=None, name="Ann")
    account.run()
    assert account.status(ann) == "Complete"
    assert "HubSpot still holds phone, which this row has no value for any more" in account.verdict(ann).verdict


def test_another_day_alone_is_no_change(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = account.add("ann@example.com", "bob@example.com")
    account.run(skip_unchanged=True)
    monkeypatch.setattr(destination, "today", lambda: "2031-01-07")
    account.change(bob, name="Bob")
    account.world.select(ann, crms=("hubspot",))
    tally = account.run(skip_unchanged=True)
    assert tally.reasons == {"unchanged": 1, "updated": 1}
    dates = {each: held.properties["scrapersky_sync_date"] for each, held in account.simulator.contacts.items()}
    assert dates["bob@example.com"] == "2031-01-07"
    assert dates["ann@example.com"] != "2031-01-07"


def test_an_unchanged_contact_that_hubspot_has_lost_is_sent(account: Account) -> None:
    ann, bob = account.add("ann@example.com", "bob@example.com")
    account.run(skip_unchanged=True)
    account.simulator.account.archive(account.simulator.contacts["bob@example.com"])
    account.world.select(ann, bob, crms=("hubspot",))
    assert account.run(skip_unchanged=True).reasons == {"unchanged": 1, "created": 1}


def test_the_limit_of_ten_seconds_is_waited_for_and_costs_nothing(account: Account) -> None:
    (ann,) = account.add("ann@example.com")
    account.simulator.inject("status-429:reset=0.2:times=2")
    tally = account.run()
    assert (account.status(ann), tally.rate_limited) == ("Complete", 2)
    assert account.world.queue("hubspot").breaker.state() is None


def test_the_daily_limit_stops_everything_until_the_accounts_day_is_over(open_account: Open) -> None:
    zone = "Pacific/Kiritimati"
    config = HubspotConfig(limits=HubspotLimits(None, 1), time_zone=zone)
    account = open_account(config, time_zone=zone, concurrency=1)
    ids = account.add(*(f"p{number}@example.com" for number in range(150)))
    tally = account.run()
    assert tally.down is not None
    assert [account.status(each) for each in ids].count("Complete") == 100
    waiting = [each for each in ids if account.status(each) == "Queued"]
    assert {account.world.delivery(each, "hubspot")["retry_count"] for each in waiting} == {0}
    down = account.world.queue("hubspot").breaker.state()
    assert down is not None
    assert (down.reason, zone in down.message) == ("daily_limit", True)
    now = datetime.now(ZoneInfo(zone))
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    if now.hour > 0:
        assert abs(down.next_probe_in - (midnight - now)) < timedelta(minutes=5)
    account.simulator.reset()
    account.world.pass_time(timedelta(days=1))
    account.run()
    assert len(account.simulator.contacts) == 1, "one contact is sent to find out"


def test_a_property_that_the_account_lacks_opens_the_breaker_and_blames_nobody(open_account: Open) -> None:
    account = open_account(HubspotConfig(limits=UNLIMITED, properties=properties(*NAMES[:2])))
    ids = account.add(*(f"p{number}@example.com" for number in range(20)))
    tally = account.run()
    assert tally.down is not None
    assert "crm-sync check --crm hubspot" in tally.down
    assert 'Property "scrapersky_sync_date" does not exist' in tally.down
    assert {account.world.delivery(each, "hubspot")["retry_count"] for each in ids} == {0}
    down = account.world.queue("hubspot").breaker.state()
    assert down is not None
    assert down.reason == "unknown_property"


def test_a_missing_property_is_nobodys_fault_although_few_have_a_value_for_it(account: Account) -> None:
    del account.simulator.account.properties["phone"]
    good = account.add(*(f"p{number}@example.com" for number in range(20)))
    (bad,) = account.add("z@example.com", phone_number="123")
    tally = account.run()
    assert {account.status(each) for each in good} == {"Complete"}
    assert (account.status(bad), account.world.delivery(bad, "hubspot")["retry_count"]) == ("Queued", 0)
    assert 'Property "phone" does not exist' in (tally.down or "")


def test_what_may_be_the_accounts_is_the_contacts_own_where_others_got_through(account: Account) -> None:
    account.simulator.account.properties["phone"] = Property("phone", rule=("MAX_LENGTH", "5"))
    good = account.add("a@example.com", phone_number="12345")
    bad = account.add(*(f"b{number}@example.com" for number in range(12)), phone_number="123456")
    account.run()
    assert account.status(good[0]) == "Complete"
    assert {account.world.delivery(each, "hubspot")["retry_count"] for each in bad} == {1}
    assert account.world.queue("hubspot").breaker.state() is None


def test_and_the_accounts_where_nobody_did(account: Account) -> None:
    account.simulator.account.properties["phone"] = Property("phone", rule=("MAX_LENGTH", "5"))
    bad = account.add(*(f"b{number}@example.com" for number in range(12)), phone_number="123456")
    account.run()
    assert {account.world.delivery(each, "hubspot")["retry_count"] for each in bad} == {0}
    down = account.world.queue("hubspot").breaker.state()
    assert down is not None
    assert down.reason == "failed_max_length"


@pytest.mark.parametrize(
    ("config", "changes", "reason", "to_do"),
    [
        (HubspotConfig(limits=UNLIMITED), {"api_key": "pat-na1-other"}, "wrong_api_key", "service key"),
        (
            HubspotConfig(limits=UNLIMITED, scopes=frozenset({"crm.objects.contacts.read"})),
            {},
            "missing_scopes",
            "crm.objects.contacts.write",
        ),
        (HubspotConfig(limits=UNLIMITED), {"path_prefix": "/crm/objects/2031-03/contacts"}, "http_404", "PATH_PREFIX"),
    ],
)
def test_what_is_wrong_with_our_set_up_costs_nobody_a_retry(
    open_account: Open, config: HubspotConfig, changes: dict[str, Any], reason: str, to_do: str
) -> None:
    account = open_account(config, **changes)
    ids = account.add(*(f"p{number}@example.com" for number in range(150)))
    tally = account.run()
    assert tally.down is not None
    assert to_do in tally.down
    down = account.world.queue("hubspot").breaker.state()
    assert down is not None
    assert down.reason == reason
    assert reason == "http_404" or tally.requests <= account.hubspot.concurrency, "nothing is halved for what is ours"
    assert {account.world.delivery(each, "hubspot")["retry_count"] for each in ids} == {0}
    assert "pat-" not in tally.down.replace("pat-...", "")


def test_an_erased_address_is_refused_and_no_address_shows(account: Account) -> None:
    account.simulator.account.erased.add("ann@example.com")
    (ann,) = account.add("ann@example.com")
    bob = account.add("bob@example.com")
    account.run()
    assert account.status(bob[0]) == "Complete"
    assert "a***@example.com was permanently deleted" in account.error(ann)


@pytest.mark.parametrize("email", ["Jane Doe", "jane doe,", "Jane Doe <jane>", "+1 415 555 2671", "x.y(z)[", "\\"])
def test_what_stands_where_an_address_belongs_does_not_show_either(account: Account, email: str) -> None:
    (bad,) = account.add(email, name="Jane Doe", phone_number="+1 415 555 2671")
    account.add("bob@example.com")
    account.run()
    assert "Email address" in account.error(bad)
    assert "jane" not in account.error(bad).lower()
    assert "555" not in account.error(bad)


def test_a_lost_answer_is_repeated_and_makes_nobody_twice(account: Account) -> None:
    ids = account.add(*(f"p{number}@example.com" for number in range(5)))
    account.simulator.inject("reset-after-write:times=1")
    account.run()
    assert {account.status(each) for each in ids} == {"Queued"}
    account.world.pass_time(RETRY)
    account.run()
    account.run()  # nothing had got through, so the first run was the probe
    assert {account.status(each) for each in ids} == {"Complete"}
    assert len(account.simulator.contacts) == 5


def test_consent_is_never_sent(account: Account) -> None:
    account.add("ann@example.com")
    account.run()
    account.edit("101", hs_email_optout="true")
    ids: list[UUID] = [row["id"] for row in account.world.rows("SELECT id FROM contacts")]
    account.change(ids[0], name="Ann")
    account.run()
    held = account.simulator.contacts["ann@example.com"].properties
    assert (held["firstname"], held["hs_email_optout"]) == ("Ann", "true")
    sent = [name for entry in account.simulator.requests for row in entry.json["inputs"] for name in row["properties"]]
    assert not [name for name in sent if "optout" in name or name in ("lifecyclestage", "email")]


@pytest.mark.parametrize(
    ("email", "more", "verdict", "next_step"),
    [
        ("no-address", {}, "Email address … is invalid", "Correct its e-mail address"),
        ("erased@example.com", {}, "was permanently deleted", "Correct the value that the message names"),
        ("", {}, "it has no e-mail address", "Fill in its e-mail address"),
        (
            "phone@example.com",
            {"phone_number": "123456"},
            "breaks a validation rule: MAX_LENGTH 5",
            "reads the row afresh",
        ),
        ("b\u00f6b@example.com", {}, "Only the domain of an e-mail address may hold characters", "Correct its e-mail"),
    ],
)
def test_explain_says_why_a_contact_is_not_at_hubspot(
    account: Account, email: str, more: dict[str, Any], verdict: str, next_step: str
) -> None:
    account.simulator.account.erased.add("erased@example.com")
    account.simulator.account.properties["phone"] = Property("phone", rule=("MAX_LENGTH", "5"))
    account.add("good@example.com")
    (bad,) = account.add(email, **more)
    account.run()
    said = account.verdict(bad)
    assert verdict in said.verdict
    assert next_step in said.next_step


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"api_key": "pat-na1-other"}, "HubSpot refused HUBSPOT_API_KEY"),
        ({"custom_property_page_id": "other"}, 'Property "other" does not exist'),
        ({"base_url": "http://127.0.0.1:1"}, "Connection to HubSpot failed"),
    ],
)
def test_explain_says_what_is_wrong_with_our_set_up(account: Account, changes: dict[str, Any], verdict: str) -> None:
    (ann,) = account.add("ann@example.com")
    account.run(**changes)
    assert verdict in account.verdict(ann).verdict


def test_the_page_knows_each_reason_that_has_a_remedy() -> None:
    page = (Path(__file__).parents[3] / "docs" / "destinations" / "hubspot.md").read_text()
    codes = {"invalid_option", "invalid_integer", "invalid_date"}  # HubSpot's, in small letters
    assert [reason for reason in REMEDIES.keys() - codes if f"`{reason}`" not in page] == []
