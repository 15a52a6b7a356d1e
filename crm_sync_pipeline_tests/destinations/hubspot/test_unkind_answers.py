"""However a batch is answered, nobody is Complete whom HubSpot does not hold as the row says, with its own id."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from crm_sync_pipeline.simulators.exchange import Answer, Request, json_answer
from crm_sync_pipeline.simulators.hubspot import PLANS, HubspotConfig, HubspotSimulator
from crm_sync_pipeline_tests.destinations.hubspot.conftest import Account, Open

WAYS = ("short", "doubled", "contradictory", "foreign", "swapped", "half", "cut", "nothing", "nameless", "pending")


class UnkindSimulator(HubspotSimulator):
    """Carries every batch out, and answers as it is told to, or as it likes."""

    way = "whole"

    def handle(self, request: Request) -> Answer:
        answer = super().handle(request)
        if not request.path.endswith(("/batch/upsert", "/batch/update")) or answer.status not in (200, 207):
            return answer
        return _distorted(answer, self.way if self.way != "any" else random.choice(("whole", *WAYS)))  # noqa: S311


def _distorted(answer: Answer, way: str) -> Answer:
    body: dict[str, Any] = json.loads(answer.body)
    results = body["results"]
    if way == "short":
        body["results"] = results[:-1]
    elif way == "doubled":
        body["results"] = [*results[:1], *results]
    elif way == "contradictory":
        again = [{**each, "id": f"{each['id']}9"} for each in results[:1]]
        body["results"] = [*results, *again]
    elif way == "foreign":
        body["results"] = [
            {**each, "id": "999", "properties": {"email": "nobody@else.example"}} for each in results[:1]
        ]
        body["results"] += results
    elif way == "swapped":  # rows that were written name the trace id of another
        traces = [each.get("objectWriteTraceId") for each in results]
        for each, trace in zip(results, traces[1:] + traces[:1], strict=True):
            each["objectWriteTraceId"] = trace
    elif way == "half":
        body["results"] = results[: len(results) // 2]
    elif way == "nameless":
        body["results"] = [{**each, "properties": {}} for each in results]
    elif way == "pending":
        body["status"] = "PENDING"
    whole = json_answer(answer.status, body)
    if way == "cut":
        return Answer(whole.status, whole.body[: len(whole.body) // 2], whole.content_type)
    return Answer(200) if way == "nothing" else whole


@pytest.fixture
def account(open_account: Open) -> Account:
    random.seed(7)
    config = HubspotConfig(limits=PLANS["unlimited"], echoes_trace_ids=True)
    return open_account(simulator=UnkindSimulator(config))


def wrong(account: Account) -> Iterator[str]:
    """What must never be."""
    for row in account.world.rows("SELECT * FROM contacts WHERE hubspot_processing_status = 'Complete'"):
        held = account.simulator.contacts.get(row["email"])
        if held is None:
            yield f"{row['email']} is Complete, and HubSpot does not have it"
            continue
        if held.properties.get("firstname") != row["name"]:
            yield f"{row['email']} is Complete, and HubSpot has other data"
        if row["hubspot_contact_id"] != held.id:
            yield f"{row['email']} has the id {row['hubspot_contact_id']} of another contact"


def people(account: Account, count: int) -> None:
    for number in range(count):
        account.add(f"p{number}@example.com", name=f"N{number}")
    account.add("no-address", name="Nobody")


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_that_is_answered_so_gives_nobody_a_wrong_result(account: Account, way: str) -> None:
    people(account, 8)
    simulator = account.simulator
    assert isinstance(simulator, UnkindSimulator)
    simulator.way = way
    account.run()
    assert list(wrong(account)) == []
    simulator.way = "whole"
    account.world.queue("hubspot").breaker.close()
    account.world.execute("UPDATE contacts SET next_retry_at = NULL")
    account.world.act("requeue", None, crms=("hubspot",))
    account.run()
    assert list(wrong(account)) == []
    assert account.world.value("SELECT count(*) FROM contacts WHERE hubspot_processing_status = 'Complete'") == 8
    assert len(simulator.contacts) == 8


def test_runs_of_many_unkind_answers_end_with_everybody_delivered_once(account: Account) -> None:
    people(account, 40)
    simulator = account.simulator
    assert isinstance(simulator, UnkindSimulator)
    simulator.way = "any"
    for _ in range(4):
        account.run()
        assert list(wrong(account)) == []
        account.world.queue("hubspot").breaker.close()
        account.world.act("requeue", None, crms=("hubspot",))
    simulator.way = "whole"
    account.run()
    assert list(wrong(account)) == []
    assert len(simulator.contacts) == 40
