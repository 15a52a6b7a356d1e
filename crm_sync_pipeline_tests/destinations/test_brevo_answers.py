"""Whose fault an answer of Brevo's is: a setting's, a contact's, or nobody's."""

import json
from collections.abc import Mapping

import pytest

from crm_sync_pipeline.delivery import deliver
from crm_sync_pipeline.destinations.base import Answer
from crm_sync_pipeline.destinations.brevo import BrevoResource
from crm_sync_pipeline.domain.outcome import DestinationDown, Rejected
from crm_sync_pipeline.domain.transition import Ending
from crm_sync_pipeline.simulators.brevo import PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.destinations.conftest import KEY

BREVO = BrevoResource(api_key=KEY)
WITH_LIST = BrevoResource(api_key=KEY, list_id=99)


def answered(status: int, body: object = b"", headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def refused(message: str, code: str = "invalid_parameter", status: int = 400, **more: object) -> Answer:
    return answered(status, {"code": code, "message": message, **more})


# A list that is gone


GONE = [
    refused("List ID does not exist", "document_not_found", 404),
    refused("Invalid listIds"),
    refused("listIds is invalid"),
    refused("List ID does not exist"),
    refused("Invalid list id 99"),
    refused("List ids are not valid"),
    refused("The list 99 does not exist", "document_not_found"),
    refused("The given list was not found", "document_not_found", 404),
    refused("Unable to create contact, list with id 99 has been deleted"),
    refused("Contact lists do not exist"),
    refused("No such list: 99", "document_not_found", 404),
    refused("Could not find list #99", "document_not_found", 404),
    refused("'listIds[0]' should be an existing list"),
    refused("Not found", "list_not_found", 404),
    refused("Bad request", "invalid_list_id"),
    refused("Invalid value", metadata={"invalid_identifiers": ["listIds"]}),
    refused("Invalid value", metadata={"listIds": [99]}),
    refused("Invalid value", metadata={"field": "list_ids"}),
    refused("Invalid listIds", status=422),
]


@pytest.mark.parametrize("answer", GONE, ids=lambda answer: answer.body.decode())
def test_a_list_that_is_gone_is_the_settings_fault_and_no_contacts(answer: Answer) -> None:
    outcome = WITH_LIST.read(answer)
    assert isinstance(outcome, DestinationDown)
    assert outcome.reason == "unknown_list"
    assert "Check BREVO_LIST_ID; it is 99 now." in outcome.message
    assert "BREVO_API_BASE_URL" not in outcome.message


@pytest.mark.parametrize("answer", GONE, ids=lambda answer: answer.body.decode())
def test_where_no_list_is_set_none_is_to_blame(answer: Answer) -> None:
    outcome = BREVO.read(answer)
    assert outcome.reason != "unknown_list"
    assert isinstance(outcome, DestinationDown if answer.status == 404 else Rejected)


@pytest.mark.parametrize(
    "answer",
    [
        refused("list@example.com is not valid"),
        refused("Invalid email address list@lists.example.com"),
        refused("Invalid email address: 'list is invalid'@example.com"),
        refused('"Mailing list" is not a valid LASTNAME'),
        refused("'The list is invalid' is not valid for attribute LASTNAME"),
        refused("SOURCE_URL https://example.com/lists/list-ids is too long"),
        refused("SOURCE_URL www.example.com/?listIds=3 is too long"),
        refused("EMAIL_TYPE is not in the list of allowed values"),
        refused("Invalid playlist id"),
        refused("The contact is blacklisted"),
        refused("Contact already in list and/or does not exist"),
        refused("Too long", metadata={"value": "my list"}),
        refused("Unable to update contact, SMS is already associated", metadata={"duplicate_identifiers": ["SMS"]}),
        refused("Too long", "value_not_in_list"),
    ],
    ids=lambda answer: answer.body.decode(),
)
def test_a_contacts_own_data_with_the_word_list_in_it_is_no_list(answer: Answer) -> None:
    assert isinstance(WITH_LIST.read(answer), Rejected)


@pytest.mark.parametrize("message", ["Contact does not exist", "list@example.com not found", ""])
def test_another_404_still_points_at_the_base_url(message: str) -> None:
    outcome = WITH_LIST.read(refused(message, "document_not_found", 404))
    assert outcome.reason == "http_404"
    assert "Check BREVO_API_BASE_URL" in outcome.message


@pytest.mark.parametrize("is_404", [False, True])
def test_with_a_list_that_is_gone_no_contact_pays_and_the_breaker_opens(world: World, is_404: bool) -> None:
    world.add_many(20)
    queue = world.queue()
    simulator = BrevoSimulator(BrevoConfig(limits=PLANS["unlimited"], unknown_list_is_404=is_404))
    with running(simulator.app) as server:
        destination = BrevoResource(base_url=f"{server.base_url}/v3", api_key="xkeysib-simulator", list_id=99)
        batch = queue.claim(20)
        tally = deliver(queue, destination, batch)
    assert tally.reasons.keys() == {"unknown_list"}
    assert "Check BREVO_LIST_ID; it is 99 now." in (tally.down or "")
    assert queue.settle(batch.token).endings == {Ending.DEFERRED: 20}
    assert queue.breaker.state() is not None
