"""What users lose sleep over, from end to end: a bad key that burns a queue, a limit that eats retries."""

import os
from typing import Any

import dagster as dg
import pytest

from crm_sync_pipeline_tests.product import Product
from crm_sync_pipeline_tests.vendors import Vendor


def states(product: Product) -> list[tuple[str, int, int]]:
    rows = product.world.rows(
        f"SELECT {product.crm}_processing_status AS state, retry_count, count(*) AS total FROM contacts GROUP BY 1, 2"
    )
    return [(row["state"], row["retry_count"], row["total"]) for row in rows]


def test_a_wrong_key_costs_a_thousand_contacts_eight_calls_and_nothing_else(each: Product, vendor: Vendor) -> None:
    each.world.add_many(1000, each.crm)
    right = {name: os.environ[name] for name in vendor.wrong_key}
    each.set(**vendor.wrong_key, **{f"{each.crm.upper()}_SYNC_SENSOR_BATCH_LIMIT": "1000"})
    result = each.run_requested(each.tick(f"{each.crm}_queue_sensor"))
    assert not result.success
    assert each.simulator.requests.total <= 8
    assert states(each) == [("Queued", 0, 1000)]
    assert each.world.value("SELECT max(retry_count) FROM crm_sync.deliveries") == 0
    calls = each.simulator.requests.total
    for trigger in (f"{each.crm}_queue_sensor", f"{each.crm}_sync_schedule"):
        skipped = each.tick(trigger)
        assert isinstance(skipped, dg.SkipReason)
        assert f"{vendor.title} is down; the next probe is due in" in (skipped.skip_message or "")
        for name in vendor.wrong_key:
            assert name in (skipped.skip_message or ""), "and what a person must do"
    assert each.simulator.requests.total == calls

    each.set(**right)  # the one act; the rest is waiting
    each.pass_minutes(1)
    for _ in range(2):  # the probe, then all that is left
        assert each.run_requested(each.tick(f"{each.crm}_queue_sensor")).success
    assert states(each) == [("Complete", 0, 1000)]
    assert each.simulator.counts()["contacts"] == 1000


@pytest.mark.timeout(60)
def test_brevo_shut_for_eight_seconds_by_its_limit_costs_no_contact_anything(product: Product) -> None:
    product.world.add_many(40)
    product.simulator.inject("status-429:for=8:reset=2.5")
    assert product.run(batch_size=40).success
    refused = [request for request in product.simulator.requests if request.status == 429]
    assert refused
    assert states(product) == [("Complete", 0, 40)]
    attempts = product.world.rows("SELECT outcome, number FROM crm_sync.attempts")
    assert {(attempt["outcome"], attempt["number"]) for attempt in attempts} == {("synced", 1)}
    assert len(refused) <= 8 * 5, "everybody waits as long as the answer says"


NASTY = [
    "\x01\x02\x1f\x7f",
    "\\u0000 and \\x00",
    '{"name": "\\ud800"}',
    "\ufffe\uffff\U0010ffff",
    "\u202egnp.exe\u202c",
    "'; DROP TABLE contacts; --",
    "%s %(name)s :name {name}",
    "\r\nX-Injected: yes\r\n\r\n",
    "n" * 1_000_000,
    "\U0001f9e8" * 100_000,
    " \t\n",
]


@pytest.mark.filterwarnings("ignore:Sending a large body")  # aiohttp's advice, which nobody sees but as an error here
def test_whatever_stands_in_a_text_column_hurts_no_other_contact(each: Product) -> None:
    poisoned = []
    for number, text in enumerate(NASTY):
        columns: dict[str, Any] = {"name": text, "phone_number": text, "source_url": text}
        poisoned += each.add(f"p{number}@example.com", **columns)
        if len(text) < 1000:
            poisoned += each.add(f"{text}{number}")
    healthy = each.add(*[f"healthy{number}@example.com" for number in range(10)])
    for _ in range(4):
        each.run(batch_size=100)
        each.pass_minutes(21)
    assert {each.status(contact) for contact in healthy} == {("Complete", "Complete")}
    for contact in poisoned:
        _, state = each.status(contact)
        assert state in ("Complete", "Error")
        assert (state == "Error") == bool(each.error(contact)), "a reason, or none"
