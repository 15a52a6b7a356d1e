"""What users lose sleep over, from end to end: a bad key that burns a queue, a limit that eats retries."""

from typing import Any

import dagster as dg
import pytest

from crm_sync_pipeline_tests.product import Product


def states(product: Product) -> list[tuple[str, int, int]]:
    rows = product.world.rows(
        "SELECT brevo_processing_status AS state, retry_count, count(*) AS total FROM contacts GROUP BY 1, 2"
    )
    return [(row["state"], row["retry_count"], row["total"]) for row in rows]


def test_a_wrong_key_costs_a_thousand_contacts_eight_calls_and_nothing_else(product: Product) -> None:
    product.world.add_many(1000)
    product.set(BREVO_API_KEY="xkeysib-wrong", BREVO_SYNC_SENSOR_BATCH_LIMIT="1000")
    result = product.run_requested(product.tick("brevo_queue_sensor"))
    assert not result.success
    assert product.simulator.requests.total <= 8
    assert states(product) == [("Queued", 0, 1000)]
    assert product.world.value("SELECT max(retry_count) FROM crm_sync.deliveries") == 0
    calls = product.simulator.requests.total
    for trigger in ("brevo_queue_sensor", "brevo_sync_schedule"):
        skipped = product.tick(trigger)
        assert isinstance(skipped, dg.SkipReason)
        assert "Brevo is down; the next probe is due in" in (skipped.skip_message or "")
        assert "BREVO_API_KEY" in (skipped.skip_message or ""), "and what a person must do"
    assert product.simulator.requests.total == calls

    product.set(BREVO_API_KEY="xkeysib-simulator")  # the one act; the rest is waiting
    product.pass_minutes(1)
    for _ in range(2):  # the probe, then all that is left
        assert product.run_requested(product.tick("brevo_queue_sensor")).success
    assert states(product) == [("Complete", 0, 1000)]
    assert len(product.simulator.contacts) == 1000


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


def test_whatever_stands_in_a_text_column_hurts_no_other_contact(product: Product) -> None:
    poisoned = []
    for number, text in enumerate(NASTY):
        columns: dict[str, Any] = {"name": text, "phone_number": text, "source_url": text}
        poisoned += product.world.add(f"p{number}@example.com", **columns)
        if len(text) < 1000:
            poisoned += product.world.add(f"{text}{number}")
    healthy = product.world.add(*[f"healthy{number}@example.com" for number in range(10)])
    for _ in range(4):
        product.run(batch_size=100)
        product.pass_minutes(21)
    assert {product.world.status(contact) for contact in healthy} == {("Complete", "Complete")}
    for contact in poisoned:
        row = product.world.contact(contact)
        assert row["brevo_processing_status"] in ("Complete", "Error")
        assert (row["brevo_processing_status"] == "Error") == bool(row["brevo_processing_error"]), "a reason, or none"
