"""Why is this contact not in Brevo? One test for each answer, from the row to the sentence."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline.domain.outcome import UNCHANGED, Failed, Rejected, Synced
from crm_sync_pipeline_tests.builders import one_run
from crm_sync_pipeline_tests.cli.conftest import Command, Shop

ADDRESS = "jane.doe@example.com"
FAILED = Failed("http_503", "Brevo API error (503): try later")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def why(crm_sync: Command, shop: Shop) -> Any:  # noqa: ARG001 # explain needs the shop's environment
    """The verdict and the next step that explain gives for a contact."""

    def ask(contact: UUID) -> tuple[str, str]:
        said = crm_sync("explain", contact, "--json").json
        return said["verdict"], said["next_step"]

    return ask


def test_never_selected(why: Any, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS, selected=False)

    verdict, then = why(contact)

    assert verdict == "Never selected for Brevo (sync status New)."
    assert then == f"Nothing. `crm-sync select {contact} --crm brevo` sends it."


def test_queued_and_due(why: Any, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)

    assert why(contact)[0] == "Queued and due."


def test_waiting_for_retry_2(why: Any, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    one_run(shop.world.queue(), FAILED)
    shop.world.pass_time(6 * MINUTE)
    one_run(shop.world.queue(), FAILED)

    verdict, then = why(contact)

    assert verdict == f"Waiting for retry 2 of 3. Last error: {FAILED.message}"
    assert then.startswith("Attempt 3 is due at ")
    assert "(in 10 min)" in then


def test_on_hold(crm_sync: Command, why: Any, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    assert crm_sync("hold", contact).code == 0

    verdict, then = why(contact)

    assert verdict.startswith("On hold since 20")
    assert "`crm-sync release" in then


def test_unselected_meanwhile(why: Any, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    queue = shop.world.queue()
    batch = queue.claim(1)
    shop.world.unselect(contact)

    assert (
        why(contact)[0] == "Not selected for Brevo any more (sync status New): taken back after a run had claimed it."
    )

    queue.journal(batch.token, [])
    queue.settle(batch.token)
    assert why(contact)[0].endswith("(sync status New); it was taken back before it was sent.")


def test_sent_without_its_phone_which_another_contact_has(crm_sync: Command, why: Any, shop: Shop) -> None:
    first, second = shop.world.add("first@example.com", ADDRESS, selected=False, phone_number="+1 415 555 2671")
    for contact in (first, second):
        assert crm_sync("sync-now", contact).code == 0

    assert "Sent without its phone number" not in why(first)[0]
    assert why(second)[0].endswith("Sent without its phone number, which another contact at Brevo has.")


def test_rejected_for_its_phone(crm_sync: Command, why: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVO_SMS_IN_USE", "reject")
    first, second = shop.world.add("first@example.com", ADDRESS, selected=False, phone_number="+1 415 555 2671")
    assert crm_sync("sync-now", first).code == 0
    assert crm_sync("sync-now", second).code == 1

    verdict, then = why(second)

    assert verdict.startswith("Waiting for retry 1 of 3. Last error: Brevo API error (400): ")
    assert then.startswith(
        "Clear its phone number, here or in the other contact that has it, and select that one. Attempt 2 is due at "
    )


def test_sent_without_its_phone_which_brevo_would_have_refused(crm_sync: Command, why: Any, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS, phone_number="12")
    assert crm_sync("sync-now", contact).code == 0

    assert "Sent without its phone number, which is not valid" in why(contact)[0]


def test_in_error(why: Any, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    for _ in range(4):
        one_run(shop.world.queue(), Rejected("invalid_email", "Brevo API error (400): Invalid email address"))
        shop.world.pass_time(25 * MINUTE)

    verdict, then = why(contact)

    assert verdict.startswith("Given up: Max retries exceeded (3). Last error: Brevo API error (400)")
    assert then == f"Nothing by itself. Correct its e-mail address, then `crm-sync requeue {contact} --crm brevo`."


def test_destination_down(why: Any, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    shop.world.queue().breaker.open("wrong_api_key", "Brevo refused BREVO_API_KEY.")

    assert why(contact)[0] == "Waiting, because Brevo is down: Brevo refused BREVO_API_KEY."


def test_delivered_and_unchanged(crm_sync: Command, why: Any, shop: Shop) -> None:
    (contact,) = shop.world.add(ADDRESS)
    assert crm_sync("sync-now", contact).code == 0
    shop.world.select(contact)
    one_run(shop.world.queue(), Synced(reason=UNCHANGED))

    verdict, then = why(contact)

    assert verdict.startswith("Brevo has it: delivered at ")
    assert verdict.endswith(", and unchanged since, so the last run did not send it.")
    assert then == "Nothing. Once its data changes, selecting it sends it again."


@pytest.mark.parametrize("attempts", [0, 1])
def test_no_e_mail(crm_sync: Command, why: Any, shop: Shop, attempts: int) -> None:
    (contact,) = shop.world.add(" ")
    if attempts:
        crm_sync("sync-now", contact)

    verdict, then = why(contact)

    assert verdict == "Can't be sent: it has no e-mail address."
    assert then.startswith("Fill in its e-mail address; the ")
    shop.world.execute("UPDATE contacts SET email = 'a@example.com'")
    assert why(contact)[0].startswith("Waiting for retry 1" if attempts else "Queued and due.")


def test_another_row_with_the_same_address_delivered_later(crm_sync: Command, why: Any, shop: Shop) -> None:
    first, second = shop.world.add(ADDRESS, f" {ADDRESS.upper()}", selected=False)
    for contact, name in ((first, "Jane"), (second, "Janet")):
        shop.world.execute("UPDATE contacts SET name = :name WHERE id = :id", name=name, id=contact)
        assert crm_sync("sync-now", contact).code == 0

    verdict, then = why(first)

    assert f"contact {second} has the same e-mail address, and was delivered later." in verdict
    assert then == "Nothing. Correct one of the two addresses, or unselect the row that should not count."
    assert why(second)[0].startswith("Brevo has it: delivered at ")
    shop.world.execute("UPDATE contacts SET name = 'Jane'")
    assert crm_sync("sync-now", second).code == 0
    assert why(first)[0].startswith("Brevo has it: delivered at "), "what the other row sent is the same"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("info@müller.de", "INFO@xn--mller-kva.de"),
        ("info@xn--mller-kva.de", "info@MÜLLER.de"),
        (ADDRESS, f"{ADDRESS}\r"),
        (f"\xa0{ADDRESS}", f"\t{ADDRESS.title()}"),
        (ADDRESS, "jane\u200b.doe@example\uff0ecom"),
    ],
    ids=ascii,
)
def test_a_twin_is_named_in_whatever_form_its_address_is_written(
    crm_sync: Command, why: Any, shop: Shop, one: str, other: str
) -> None:
    first, second = shop.world.add(one, other, "other@example.com", "info@xn--bcher-kva.de", selected=False)[:2]
    for contact, name in ((first, "Jane"), (second, "Janet")):
        shop.world.execute("UPDATE contacts SET name = :name WHERE id = :id", name=name, id=contact)
        assert crm_sync("sync-now", contact).code == 0

    assert f"contact {second} has the same e-mail address, and was delivered later." in why(first)[0]


@pytest.mark.parametrize("other", ["info@bücher.de", "info@muller.de", "info@müller.de.example.com", "in fo@müller.de"])
def test_an_address_that_is_alike_is_not_a_twin(crm_sync: Command, why: Any, shop: Shop, other: str) -> None:
    first, second = shop.world.add("info@müller.de", "another@example.com", selected=False)
    assert crm_sync("sync-now", first).code == crm_sync("sync-now", second).code == 0
    shop.world.execute("UPDATE contacts SET email = :email WHERE id = :id", email=other, id=second)

    assert why(first)[0].startswith("Brevo has it: delivered at ")


@pytest.mark.parametrize("address", ["\u200b", "\ufeff\xa0\r"], ids=ascii)
def test_an_address_of_nothing_that_is_seen_is_no_address(why: Any, shop: Shop, address: str) -> None:
    (contact,) = shop.world.add(address)
    assert why(contact)[0] == "Can't be sent: it has no e-mail address."


def test_what_was_left_out_of_an_address_and_what_is_sent_for_it_is_shown(crm_sync: Command, shop: Shop) -> None:
    (contact,) = shop.world.add("inf\u200bo@müller.de\r", selected=False)
    assert crm_sync("sync-now", "info@xn--mller-kva.de").code == 0

    said = crm_sync("explain", "INFO@MÜLLER.DE").out

    assert "inf<U+200B>o@müller.de<U+000D> (sent as info@xn--mller-kva.de)" in said
    assert "Sent without what is invisible in its e-mail address (U+200B)." in said
    assert crm_sync("forget", "info@müller.de").code == 0
    assert str(contact) in said


@pytest.mark.parametrize("address", ["josé@example.com", "info@i❤.ws"])
def test_an_address_without_an_ascii_form_is_to_be_corrected(
    crm_sync: Command, why: Any, shop: Shop, address: str
) -> None:
    (contact,) = shop.world.add(address)
    crm_sync("sync-now", contact)

    assert why(contact)[1].startswith("Correct its e-mail address. Attempt 2 is due at ")
    assert not shop.simulator.requests.total
