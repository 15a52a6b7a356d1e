"""docs/destinations/n8n.md says of each answer what it is taken for, and of the body what is sent."""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest

import crm_sync_pipeline
from crm_sync_pipeline.destinations.contract import Answer, Record
from crm_sync_pipeline.destinations.n8n.answers import REMEDIES
from crm_sync_pipeline.destinations.n8n.destination import N8n
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES

ROOT = Path(crm_sync_pipeline.__file__).parents[1]
PAGE = (ROOT / "docs" / "destinations" / "n8n.md").read_text()
HTML = b"<!DOCTYPE html><html></html>"

ANSWERS = [
    (Answer(200, {}, b'{"workflow_id": "w"}'), "2xx with JSON"),
    (Answer(204, {}, b""), "2xx with JSON, or 204"),
    (Answer(200, {}, b'{"duplicate": true}'), '2xx with `"duplicate": true`'),
    (Answer(200, {}, b"n8n is starting up. Please wait"), "200 `n8n is starting up. Please wait`"),
    (Answer(200, {}, b""), "200, empty"),
    (Answer(200, {}, HTML), "any other 2xx"),
    (Answer(301, {"location": "https://example.com"}, b""), "301, 302"),
    (Answer(400, {}, b'{"message": "No"}'), "400 or 422 with JSON"),
    (Answer(422, {}, b"No"), "400 or 422 with JSON or text"),
    (Answer(413, {}, HTML), "413"),
    (Answer(400, {}, HTML), "400 or 422 with a page of HTML"),
    (Answer(401, {}, b"Authorization is required!"), "401 or 403, the secret is refused"),
    (Answer(403, {}, b"Authorization data is wrong!"), "401 or 403, the secret is refused"),
    (Answer(403, {}, b"IP is not whitelisted to access the webhook!"), "403 `IP is not whitelisted"),
    (Answer(402, {}, b""), "402"),
    (Answer(404, {}, HTML), "404: not registered"),
    (Answer(405, {}, b""), "405"),
    (Answer(407, {}, b""), "407"),
    (Answer(429, {}, b""), "429"),
    (Answer(500, {}, b'{"message": "Error in workflow"}'), "500 `Error in workflow`"),
    (Answer(503, {}, b'{"message": "Database is not ready!"}'), "503 `Database is not ready!`"),
]


@pytest.mark.parametrize(("answer", "words"), ANSWERS, ids=[f"{a.status} {words}" for a, words in ANSWERS])
def test_each_answer_of_n8n_is_told_as_it_is_taken(answer: Answer, words: str) -> None:
    outcome = N8n(webhook_url="https://n8n.example.com/webhook/x", webhook_secret="s").read(answer)

    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {words}")]

    assert f"| {OUTCOME_NAMES[type(outcome)]} |" in row
    assert f"`{outcome.reason}`" in row


def test_the_body_that_is_shown_is_the_one_that_is_sent() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    record = N8n(webhook_url="https://n8n.example.com/webhook/x").prepare(Contact(UUID(int=1), "jane@example.com"))

    assert isinstance(record, Record)
    assert json.loads(shown).keys() == json.loads(record.body).keys()


def test_every_refusal_that_has_a_remedy_has_a_row() -> None:
    assert [reason for reason in REMEDIES if f"`{reason}`" not in PAGE] == []


def test_every_node_of_the_workflow_is_explained() -> None:
    workflow = json.loads((ROOT / "docs" / "destinations" / "n8n" / "workflow.json").read_text())

    nodes = {node["name"] for node in workflow["nodes"] if not node["type"].endswith("stickyNote")}

    assert {name for name in nodes if f"*{name}*" not in PAGE} == set()
    assert workflow["active"] is False
