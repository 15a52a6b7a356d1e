"""Addresses as tables have them: each goes to the person who is meant, or ends with a reason that names why."""

from uuid import UUID

import pytest

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline_tests.builders import World

SENT = {
    "info@müller.de": "info@xn--mller-kva.de",
    "KONTAKT@MÜLLER.de": "kontakt@xn--mller-kva.de",
    "info@straße.de": "info@xn--strae-oqa.de",
    "info@xn--bcher-kva.example": "info@xn--bcher-kva.example",
    "x@ex\uff41mple\uff0ecom": "x@example.com",
    "\u200banna@example.com\ufeff": "anna@example.com",
    "be\u00adn@example.com": "ben@example.com",
    "cl\u200bara@exam\u2060ple.com": "clara@example.com",
    "\xa0dora@example.com\r\n": "dora@example.com",
    "\u202aemil@example.com\u202c": "emil@example.com",
}
REFUSED = {
    "josé@example.com": "address_not_ascii",
    "an\xa0na@example.com": "address_not_ascii",
    "anna\uff20example.com": "address_not_ascii",
    "info@ex\u3000ample.com": "invalid_domain",
    "info@i❤.ws": "invalid_domain",
    "\u200b": "no_email",
    "\xa0\r\n\ufeff": "no_email",
}


def _reasons(world: World) -> dict[UUID, tuple[str, str, str]]:
    rows = world.rows("SELECT contact_id, outcome, reason, message FROM crm_sync.attempts")
    return {row["contact_id"]: (row["outcome"], row["reason"], row["message"]) for row in rows}


@pytest.mark.parametrize("by_import", [False, True], ids=["one by one", "by import"])
def test_each_address_is_sent_in_its_normal_form_or_refused_by_name(
    world: World, brevo: Brevo, simulator: BrevoSimulator, by_import: bool
) -> None:
    sent, refused = world.add(*SENT), world.add(*REFUSED)
    queue = world.queue()
    batch = queue.claim(100)
    if by_import:
        deliver_batch(queue, brevo.model_copy(update={"list_id": 1, "bulk_threshold": 1}), batch)
    else:
        deliver_batch(queue, brevo, batch)

    assert set(simulator.contacts) == set(SENT.values())
    reasons = _reasons(world)
    assert {reasons[contact][0] for contact in sent} == {"synced"}
    assert [reasons[contact][:2] for contact in refused] == [("rejected", reason) for reason in REFUSED.values()]
    named = {reasons[contact][2] for contact, address in zip(sent, SENT, strict=True) if address.startswith("cl")}
    assert named == {"Sent without what is invisible in its e-mail address (U+200B, U+2060)"}
    said = " ".join(message for _, _, message in reasons.values())
    assert not any(address in said for address in (*SENT, *SENT.values(), "josé", "ample"))


def test_two_forms_of_one_address_are_sent_one_after_another(
    world: World, brevo: Brevo, simulator: BrevoSimulator
) -> None:
    world.add("info@müller.de", "info@xn--mller-kva.de ", "INFO@mu\u0308ller.de\u200b")
    queue = world.queue()
    tally = deliver_batch(queue, brevo, queue.claim(10))
    assert tally.outcomes == {"synced": 3}
    assert [entry.status for entry in simulator.requests] == [201, 204, 204]
