"""Why is this contact not in HubSpot (Mautic, n8n, Brevo)? Each reason of each CRM, from its answer to the sentence."""

import json
import os
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline.simulators.exchange import JSON, Answer
from crm_sync_pipeline_tests.cli.conftest import Command
from crm_sync_pipeline_tests.product import Product
from crm_sync_pipeline_tests.vendors import VENDORS

Arrange = Callable[[Product], UUID]

WHY = "why@example.com"
RETRY = r"Attempt 2 is due at .* UTC \(in [45] min\)\. It reads the row afresh, so a correction counts\."


def with_row(email: str = WHY, **columns: Any) -> Arrange:
    """A contact whose own data is to blame."""

    def arrange(each: Product) -> UUID:
        (contact,) = each.add(email, **columns)
        return contact

    return arrange


def with_fault(fault: str) -> Arrange:
    """The simulator answers so."""

    def arrange(each: Product) -> UUID:
        each.simulator.inject(fault)
        return with_row()(each)

    return arrange


def with_answer(status: int, body: dict[str, Any]) -> Arrange:
    """The vendor's answer, as it is documented, where the simulator has no way to it."""

    def arrange(each: Product) -> UUID:
        original: Any = each.simulator.handle
        answer = Answer(status, json.dumps(body).encode(), JSON)

        def handle(request: Any) -> Answer:
            return answer if WHY.encode() in request.body else original(request)

        each.monkeypatch.setattr(each.simulator, "handle", handle)
        return with_row()(each)

    return arrange


def with_setting(**variables: str) -> Arrange:
    """A setting is wrong, or another one."""

    def arrange(each: Product) -> UUID:
        each.set(**variables)
        return with_row()(each)

    return arrange


def sms_in_use(each: Product) -> UUID:
    each.set(BREVO_SMS_IN_USE="reject")
    each.add("first@example.com", phone_number="+14155552671")
    assert each.run().success
    return with_row(phone_number="+14155552671")(each)


def opted_out_at_brevo(each: Product) -> UUID:
    contact = delivered_before(each)
    url, key = os.environ["BREVO_API_BASE_URL"], os.environ["BREVO_API_KEY"]
    changed = {"emailBlacklisted": True}
    assert httpx.put(f"{url}/contacts/why%40example.com", json=changed, headers={"api-key": key}).status_code == 204
    return renamed(each, contact)


def opted_out_at_hubspot(each: Product) -> UUID:
    contact = delivered_before(each)
    account: Any = each.simulator
    account.contacts[WHY].properties["hs_email_optout"] = "true"
    return renamed(each, contact)


def delivered_before(each: Product) -> UUID:
    contact = with_row()(each)
    assert each.run().success
    return contact


def renamed(each: Product, contact: UUID) -> UUID:
    each.world.execute("UPDATE contacts SET email = 'new@example.com' WHERE id = :id", id=contact)
    each.select(contact)
    return contact


def without_property(each: Product) -> UUID:
    simulator: Any = each.simulator
    del simulator.account.properties["scrapersky_domain_id"]
    return with_row()(each)


def api_off(each: Product) -> UUID:
    simulator: Any = each.simulator
    simulator.switches.api_enabled = False
    return with_row()(each)


def by_basic_that_is_off(each: Product) -> UUID:
    each.unset("MAUTIC_CLIENT_ID")
    each.unset("MAUTIC_CLIENT_SECRET")
    each.set(MAUTIC_USERNAME="api", MAUTIC_PASSWORD="mautic-password")  # of a simulator
    simulator: Any = each.simulator
    simulator.switches.basic_auth_enabled = False
    return with_row()(each)


BREVO_DUPLICATE = {
    "code": "duplicate_parameter",
    "message": "Unable to create contact, email is already associated with another Contact",
    "metadata": {"duplicate_identifiers": ["email"]},
}
HUBSPOT_CONFLICT = {"status": "error", "category": "CONFLICT", "message": "Contact already exists."}
HUBSPOT_READ_ONLY = {
    "status": "error",
    "category": "VALIDATION_ERROR",
    "message": 'Property values were not valid: [{"isValid":false,"message":"scrapersky_page_id is a read only '
    'property; its value cannot be set","error":"READ_ONLY_VALUE","name":"scrapersky_page_id"}]',
}
HUBSPOT_DAILY = {
    "status": "error",
    "message": "You have reached your daily limit.",
    "errorType": "RATE_LIMIT",
    "policyName": "DAILY",
}


def hubspot_refuses(code: str) -> Arrange:
    problem = {"isValid": False, "message": "x was not valid.", "error": code, "name": "phone"}
    message = f"Property values were not valid: {json.dumps([problem])}"
    return with_answer(400, {"status": "error", "category": "VALIDATION_ERROR", "message": message})


MAUTIC_VALUE = {"errors": [{"code": 400, "message": "firstname: Too long.", "details": {"firstname": ["Too long."]}}]}

# CRM, reason, what is arranged, the verdict, the next step: as they begin
REFUSED: list[tuple[str, str, Arrange, str, str]] = [
    ("brevo", "invalid_email", with_row("why"), "Brevo API error (400): Invalid email", "Correct its e-mail address"),
    ("brevo", "email_in_use", with_answer(400, BREVO_DUPLICATE), "Brevo API error (400): ", "Find the other contact"),
    (
        "brevo",
        "invalid_phone",
        with_fault("status-400"),
        "Brevo API error (400): ",
        "Correct or clear its phone number",
    ),
    ("brevo", "sms_in_use", sms_in_use, "Brevo API error (400): ", "Clear its phone number, here or in the other"),
    (
        "brevo",
        "opted_out_at_old_address",
        opted_out_at_brevo,
        "Its e-mail address has changed",
        "Unselect it, or follow",
    ),
    ("hubspot", "invalid_email", with_row("why"), "HubSpot API error (400): Email", "Correct its e-mail address"),
    ("hubspot", "email_in_use", with_answer(409, HUBSPOT_CONFLICT), "HubSpot ", "Find the other contact there"),
    (
        "hubspot",
        "opted_out_at_old_address",
        opted_out_at_hubspot,
        "Its e-mail address has changed",
        "Unselect it, or follow",
    ),
    *(
        (
            "hubspot",
            code.lower(),
            hubspot_refuses(code),
            "HubSpot API error (400): ",
            "Correct the value that the message",
        )
        for code in ("INVALID_OPTION", "INVALID_INTEGER", "INVALID_DATE", "VALIDATION_ERROR")
    ),
    ("mautic", "invalid_email", with_row("why"), "Mautic API error (400): email: ", "Correct its e-mail address"),
    ("mautic", "ambiguous_address", with_row("w/hy@example.com"), "", "Correct its e-mail address, or unselect it: M"),
    (
        "mautic",
        "invalid_value",
        with_answer(400, MAUTIC_VALUE),
        "Mautic API error (400): ",
        "Correct the value that the",
    ),
    ("n8n", "no_email", with_row(" "), "", "Fill in its e-mail address, or set N8N_DELIVERS_WITHOUT_EMAIL=true"),
    ("n8n", "http_400", with_fault("status-400"), "n8n API error (400): ", "Correct what the workflow's answer names"),
    (
        "n8n",
        "http_413",
        with_answer(413, {"message": "Too large"}),
        "n8n API error (413): Too large",
        "Shorten its name",
    ),
    (
        "n8n",
        "http_422",
        with_answer(422, {"message": "No."}),
        "n8n API error (422): No.",
        "Correct what the workflow's",
    ),
]

# CRM, reason, what is arranged, words of the verdict, the beginning of the next step, "" for the CRM's next trial
SHUT: list[tuple[str, str, Arrange, str, str]] = [
    ("brevo", "wrong_api_key", with_setting(BREVO_API_KEY="xkeysib-wrong"), "BREVO_API_KEY", ""),
    ("brevo", "ip_not_allowed", with_fault("status-401-ip"), "authorised_ips", ""),
    ("brevo", "unknown_list", with_setting(BREVO_LIST_ID="99"), "BREVO_LIST_ID", ""),
    ("hubspot", "wrong_api_key", with_setting(HUBSPOT_API_KEY="pat-na1-wrong"), "HUBSPOT_API_KEY", ""),
    ("hubspot", "missing_scopes", with_fault("status-403"), "crm.objects.contacts.write", ""),
    (
        "hubspot",
        "unknown_property",
        without_property,
        "scrapersky_domain_id",
        "Run `crm-sync check --crm hubspot --cre",
    ),
    ("hubspot", "read_only_property", with_answer(400, HUBSPOT_READ_ONLY), "read only", "Name another property in the"),
    (
        "hubspot",
        "daily_limit",
        with_answer(429, HUBSPOT_DAILY),
        "daily limit",
        "",
    ),
    ("mautic", "wrong_client", with_setting(MAUTIC_CLIENT_SECRET="wrong"), "MAUTIC_CLIENT_SECRET", ""),
    ("mautic", "api_disabled", api_off, "API enabled", ""),
    ("mautic", "basic_auth_disabled", by_basic_that_is_off, "basic auth", ""),
    ("mautic", "", with_setting(MAUTIC_SEGMENT_ID="99"), "MAUTIC_SEGMENT_ID", ""),
    ("n8n", "wrong_secret", with_setting(N8N_WEBHOOK_SECRET="wrong"), "N8N_WEBHOOK_SECRET", ""),
    ("n8n", "ip_not_allowed", with_fault("status-401-ip"), "n8n", ""),
]


def ids(cases: list[tuple[str, str, Arrange, str, str]]) -> list[str]:
    return [f"{crm}-{reason}" for crm, reason, *_ in cases]


def answer(crm_sync: Command, each: Product, contact: UUID) -> dict[str, Any]:
    said: dict[str, Any] = crm_sync("explain", contact, "--crm", each.crm, "--json").json
    others = [other.title for other in VENDORS.values() if other.name != each.crm]
    for sentence in (said["verdict"], said["next_step"]):
        assert [title for title in others if title in sentence] == [], "it names no other CRM"
    return said


def test_every_remedy_of_a_crm_is_tried_here() -> None:
    tried = {(crm, reason) for crm, reason, *_ in REFUSED + SHUT}
    remedies = {(crm, reason) for crm, entry in DESTINATIONS.items() for reason in entry.remedies}
    assert remedies - tried == set()


@pytest.mark.parametrize(
    ("vendor", "reason", "arrange", "verdict", "then"), REFUSED, ids=ids(REFUSED), indirect=["vendor"]
)
def test_a_contact_that_is_refused_is_told_why_and_what_to_do(
    each: Product, crm_sync: Command, reason: str, arrange: Arrange, verdict: str, then: str
) -> None:
    contact = arrange(each)
    each.run()
    assert each.reasons()[-1] == reason
    said = answer(crm_sync, each, contact)
    if reason == "no_email":
        assert said["verdict"] == "Can't be sent: it has no e-mail address."
        assert said["next_step"].startswith(f"{then}; the attempt at ")
        return
    assert said["verdict"].startswith(f"Waiting for retry 1 of 3. Last error: {verdict}")
    assert re.fullmatch(rf"{re.escape(then)}.*\. {RETRY}", said["next_step"]), said["next_step"]
    for _ in range(3):
        each.pass_minutes(21)
        each.run()
    said = answer(crm_sync, each, contact)
    assert said["verdict"].startswith(f"Given up: Max retries exceeded (3). Last error: {verdict}")
    assert said["next_step"].startswith(f"Nothing by itself. {then}")
    assert said["next_step"].endswith(f", then `crm-sync requeue {contact} --crm {each.crm}`.")


@pytest.mark.parametrize(("vendor", "reason", "arrange", "verdict", "then"), SHUT, ids=ids(SHUT), indirect=["vendor"])
def test_a_contact_whose_crm_is_shut_is_told_why_and_that_it_lost_nothing(
    each: Product, crm_sync: Command, reason: str, arrange: Arrange, verdict: str, then: str
) -> None:
    contact = arrange(each)
    assert not each.run().success
    said = answer(crm_sync, each, contact)
    assert said["facts"]["down"]["reason"] == reason or not reason
    title = said["facts"]["title"]
    assert said["verdict"].startswith(f"Waiting, because {title} is down: ")
    assert verdict.lower() in said["verdict"].lower()
    first = rf"{re.escape(then)}.*\. " if then else ""
    assert re.fullmatch(rf"{first}{title} is tried again .*; the contact has lost nothing\.", said["next_step"])
    assert said["facts"]["retry_count"] == 0


def test_a_contact_of_a_crm_that_is_off_is_told_what_is_missing(each: Product, crm_sync: Command, vendor: Any) -> None:
    contact = with_row()(each)
    each.unset(vendor.key)
    said = answer(crm_sync, each, contact)
    assert said["verdict"] == f"Queued and due, but {vendor.title} is off here: {vendor.key} not set."


@pytest.mark.parametrize("vendor", ["n8n"], indirect=True)
def test_where_no_address_is_needed_its_lack_is_no_reason(each: Product, crm_sync: Command) -> None:
    each.set(N8N_DELIVERS_WITHOUT_EMAIL="true")
    contact = with_row(" ")(each)
    assert answer(crm_sync, each, contact)["verdict"] == "Queued and due."
    each.simulator.inject("status-503")
    each.run()
    assert answer(crm_sync, each, contact)["verdict"].startswith(
        "Waiting for retry 1 of 3. Last error: n8n API error (503)"
    )
