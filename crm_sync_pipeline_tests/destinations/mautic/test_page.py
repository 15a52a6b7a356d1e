"""docs/destinations/mautic.md says what each answer comes to, and explain says what to do about each refusal."""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest

from crm_sync_pipeline.destinations.contract import Answer, Record
from crm_sync_pipeline.destinations.mautic import MAUTIC
from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES, Outcome

PAGE = (Path(__file__).parents[3] / "docs" / "destinations" / "mautic.md").read_text()
BASIC, OAUTH = Mautic(username="u", password="p"), Mautic(client_id="c", client_secret="s")


def told(status: int | str, reason: str) -> list[str]:
    """The rows of the table that speak of this status and this reason."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and f"`{reason}`" in line]
    return [row for row in rows if re.match(rf"\| [^|]*\b{status}\b", row)]


def refused(status: int, message: str = "No", kind: str | None = None) -> Answer:
    error = {"code": status, "message": message, **({"type": kind} if kind else {})}
    return Answer(status, {}, json.dumps({"errors": [error]}).encode())


def of_row(code: int, details: object = (), email: str = "ann@example.com") -> Outcome:
    prepared = BASIC.prepare(Contact(UUID(int=1), email))
    assert isinstance(prepared, Record)
    contact = {"id": 1, "fields": {"all": {"email": email}}}
    error = {"errors": [{"code": code, "message": "No", "details": details}]} if code >= 400 else {}
    contacts = {"contacts": [] if error else [contact], "statusCodes": [code]}
    reading = BASIC.reading([prepared], Answer(201, {}, json.dumps({**contacts, **error}).encode()))
    assert isinstance(reading, dict)
    outcome: Outcome = reading[UUID(int=1)]
    return outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (201, of_row(201)),
        (200, of_row(200)),
        (400, of_row(400, {"email": ["x"]})),
        (422, of_row(422, {"phone": ["x"]})),
        (400, of_row(400)),
        (403, of_row(403)),
        (409, of_row(409)),
        (401, OAUTH.read(refused(401))),
        (401, BASIC.read(refused(401))),
        (403, BASIC.read(refused(403, kind="api_disabled"))),
        (403, BASIC.read(refused(403, kind="access_denied"))),
        (403, BASIC.read(refused(403))),
        (404, BASIC.read(refused(404))),
        (500, BASIC.read(refused(500, "A max of 200 entities are supported at a time."))),
        (429, BASIC.read(refused(429))),
    ],
)
def test_each_answer_is_told_as_it_is_taken(status: int, outcome: Outcome) -> None:
    rows = told(status, outcome.reason)
    assert rows, f"no row with {status} and `{outcome.reason}`"
    assert all(f"| {OUTCOME_NAMES[type(outcome)]} |" in row for row in rows)


def test_each_refusal_of_mautics_own_has_a_remedy_and_a_row() -> None:
    assert {"invalid_email", "invalid_value", "ambiguous_address"} == set(MAUTIC.remedies)
    for reason in MAUTIC.remedies:
        assert f"`{reason}`" in PAGE
