"""HubSpot's own client drives the simulator, with its trap: where it validates, it breaks at a 207 of recordings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm.contacts import (
    ApiException,
    BatchInputSimplePublicObjectBatchInput,
    BatchInputSimplePublicObjectBatchInputForCreate,
    BatchInputSimplePublicObjectBatchInputUpsert,
    BatchReadInputSimplePublicObjectId,
    PublicGdprDeleteInput,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)
from hubspot.crm.properties import PropertyCreate

from crm_sync_pipeline.simulators.hubspot import DEFAULT_KEY, PLANS, HubspotConfig, HubspotSimulator
from crm_sync_pipeline.simulators.server import running


@contextmanager
def client_of(simulator: HubspotSimulator, token: str = DEFAULT_KEY, **more: Any) -> Iterator[Any]:
    with running(simulator.app) as server:
        yield HubSpot(access_token=token, host=server.base_url, retry=False, **more)


@pytest.fixture
def client(hubspot: HubspotSimulator, served_hubspot: Any) -> Any:
    _ = hubspot
    return HubSpot(access_token=DEFAULT_KEY, host=served_hubspot[1].base_url, retry=False)


def upserts(*addresses: str, **properties: str) -> BatchInputSimplePublicObjectBatchInputUpsert:
    inputs = [
        {"id": each, "idProperty": "email", "properties": properties, "objectWriteTraceId": str(number)}
        for number, each in enumerate(addresses)
    ]
    return BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs)


def test_a_contact_is_created_read_updated_and_archived(client: Any) -> None:
    api = client.crm.contacts.basic_api
    created = api.create(SimplePublicObjectInputForCreate(properties={"email": "a+b@example.com", "firstname": "Jane"}))
    read = api.get_by_id("a+b@example.com", id_property="email", properties=["firstname", "phone"])
    assert (read.id, read.properties["firstname"], read.properties["phone"]) == (created.id, "Jane", None)
    api.update("a+b@example.com", SimplePublicObjectInput(properties={"phone": "1"}), id_property="email")
    assert api.get_by_id(created.id, properties=["phone"]).properties["phone"] == "1"
    api.archive(created.id)
    with pytest.raises(ApiException) as missing:
        api.get_by_id(created.id)
    assert missing.value.status == 404


def test_batches_create_upsert_update_and_read(client: Any, hubspot: HubspotSimulator) -> None:
    api = client.crm.contacts.batch_api
    made = api.create(
        BatchInputSimplePublicObjectBatchInputForCreate(inputs=[{"properties": {"email": "a@example.com"}}])
    )
    assert made.status == "COMPLETE"
    upserted = api.upsert(upserts("A@example.com", "b@example.com", firstname="Jane"))
    assert {each.properties["email"]: each.new for each in upserted.results} == {
        "a@example.com": False,
        "b@example.com": True,
    }
    changed = [{"id": "101", "properties": {"email": "c@example.com"}}]
    api.update(BatchInputSimplePublicObjectBatchInput(inputs=changed))
    assert sorted(hubspot.contacts) == ["b@example.com", "c@example.com"]
    read = api.read(
        BatchReadInputSimplePublicObjectId(
            inputs=[{"id": "101"}, {"id": "102"}], properties=["firstname"], properties_with_history=[]
        )
    )
    assert [each.properties["firstname"] for each in read.results] == ["Jane", "Jane"]


def test_an_erased_contact_is_gone(client: Any, hubspot: HubspotSimulator) -> None:
    client.crm.contacts.batch_api.upsert(upserts("a@example.com"))
    client.crm.contacts.basic_api.purge(PublicGdprDeleteInput(object_id="a@example.com", id_property="email"))
    assert not hubspot.contacts


def test_a_property_is_made_and_found(client: Any) -> None:
    api = client.crm.properties.core_api
    made = PropertyCreate(
        name="new_one", label="New", type="string", field_type="text", group_name="contactinformation"
    )
    assert api.create("contacts", made).name == "new_one"
    assert "new_one" in {each.name for each in api.get_all("contacts").results}
    assert api.get_by_name("contacts", "new_one").modification_metadata.read_only_value is False


def test_a_client_that_validates_breaks_at_a_207_as_recordings_show_it_although_the_rows_are_written() -> None:
    simulator = HubspotSimulator(HubspotConfig(limits=PLANS["unlimited"]))
    with client_of(simulator, client_side_validation=True) as client:
        with pytest.raises(ValueError, match="must not be `None`"):
            client.crm.contacts.batch_api.upsert(upserts("a@example.com", "no address"))
        assert list(simulator.contacts) == ["a@example.com"]
    with client_of(simulator, client_side_validation=False) as client:
        answer = client.crm.contacts.batch_api.upsert(upserts("a@example.com", "no address"))
        assert (len(answer.results), answer.num_errors) == (1, 1)


def test_and_it_reads_a_207_as_its_document_has_it() -> None:
    simulator = HubspotSimulator(HubspotConfig(limits=PLANS["unlimited"], strict_errors=True))
    with client_of(simulator, client_side_validation=True) as client:
        answer = client.crm.contacts.batch_api.upsert(upserts("a@example.com", "no address"))
    (error,) = answer.errors
    assert error.context == {"objectWriteTraceId": ["1"]}
    assert [each.properties["email"] for each in answer.results] == ["a@example.com"]


def test_without_a_valid_token_the_client_is_told_401() -> None:
    with client_of(HubspotSimulator(), token="pat-na1-other") as client, pytest.raises(ApiException) as refused:
        client.crm.contacts.batch_api.upsert(upserts("a@example.com"))
    assert refused.value.status == 401
