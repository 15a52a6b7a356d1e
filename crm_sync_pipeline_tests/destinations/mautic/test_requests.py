"""What Mautic is sent of a contact, and of one that it has a copy of already."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.destinations.mautic.tokens import TOKEN_PATH
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import MARK, Delivered, mark_of
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Rejected, Synced
from crm_sync_pipeline.simulators.mautic import MauticSimulator
from crm_sync_pipeline_tests.destinations.mautic.conftest import deliver, person

ALL = {
    "email": " Ann.Example@Example.COM",
    "name": "Ann van Example",
    "phone_number": "+1 (415) 555-2671",
    "domain_id": "d",
    "page_id": "p",
    "email_type": "FREE",
    "source_url": "https://example.com/about",
    "has_gmail": True,
}


def row(mautic: Mautic, contact: Contact) -> dict[str, Any]:
    return mautic.call_for(contact).payload


def paths(instance: MauticSimulator) -> list[tuple[str, str]]:
    return [(each.method, each.path) for each in instance.requests if each.path != TOKEN_PATH and each.status != 401]


def test_a_row_has_the_address_in_lower_case_each_field_by_its_alias_and_a_boolean_as_a_number(mautic: Mautic) -> None:
    assert row(mautic, person(1, **ALL)) == {
        "email": "ann.example@example.com",
        "firstname": "Ann",
        "lastname": "van Example",
        "phone": "+14155552671",
        "scrapersky_domain_id": "d",
        "scrapersky_page_id": "p",
        "scrapersky_email_type": "FREE",
        "scrapersky_source_url": "https://example.com/about",
        "scrapersky_has_gmail": 1,
    }


def test_what_has_no_value_is_not_sent_and_a_no_is_a_zero(mautic: Mautic) -> None:
    assert row(mautic, person(1, name=" ", has_gmail=False)) == {"email": "p1@example.com", "scrapersky_has_gmail": 0}


def test_a_number_whose_country_nobody_knows_goes_as_it_is_typed(mautic: Mautic) -> None:
    assert row(mautic, person(1, phone_number=" 0151 1234567\n"))["phone"] == "0151 1234567"


def test_aliases_and_tags_are_settings(mautic: Mautic) -> None:
    other = mautic.model_copy(update={"field_source_url": "website", "tags": "crm, new"})
    sent = row(other, person(1, source_url="https://example.com"))
    assert (sent["website"], sent["tags"]) == ("https://example.com", ["crm", "new"])
    assert "scrapersky_source_url" not in sent


def test_no_consent_field_is_ever_sent(mautic: Mautic) -> None:
    assert not {"doNotContact", "owner", "isPublished"} & row(mautic, person(1, **ALL)).keys()


def test_a_text_that_mautic_has_no_room_for_is_left_out_and_explain_says_so(mautic: Mautic) -> None:
    long = person(1, source_url=f"https://example.com/{'x' * 180}")
    assert "scrapersky_source_url" not in row(mautic, long)
    assert "longer than the 191 characters" in mautic.left_out(long)
    assert mautic.left_out(person(1)) == ""


def test_many_contacts_go_in_one_request(mautic: Mautic, instance: MauticSimulator) -> None:
    attempts = deliver(mautic, [person(number) for number in range(1, 51)])
    assert all(isinstance(each.outcome, Synced) for each in attempts)
    assert [each.outcome.reason for each in attempts[:2]] == ["created", "created"]
    assert {each.request_size for each in attempts} == {50}
    assert paths(instance) == [("POST", "/api/contacts/batch/new")]
    assert len(instance.contacts) == 50


def test_the_remote_id_is_mautics_own(mautic: Mautic, instance: MauticSimulator) -> None:
    (attempt,) = deliver(mautic, [person(1)])
    assert isinstance(attempt.outcome, Synced)
    assert attempt.outcome.remote_id == str(instance.contacts["p1@example.com"].id)
    (again,) = deliver(mautic, [person(1)])
    assert again.outcome.reason == "updated"


@pytest.mark.parametrize("email", ["a/b@example.com", "a b@example.com", '"ab"@example.com', "ab,@example.com"])
def test_an_address_that_mautic_takes_for_another_one_is_not_sent(
    mautic: Mautic, instance: MauticSimulator, email: str
) -> None:
    deliver(mautic, [person(1, email="ab@example.com", name="Abel")])
    sent = instance.requests.total
    (attempt,) = deliver(mautic, [person(2, email=email, name="Intruder")])
    assert isinstance(attempt.outcome, Rejected)
    assert attempt.outcome.reason == "ambiguous_address"
    assert instance.requests.total == sent
    assert instance.contacts["ab@example.com"].fields["firstname"] == "Abel"


# Fields that have lost their value


def known(instance: MauticSimulator, email: str, *fields: str, is_shared: bool = False) -> Delivered:
    """What the database knows of a contact that was delivered under this address, with these fields."""
    marks = frozenset({mark_of(person(1), email)})
    names = frozenset(name for name in fields if not name.startswith(MARK))
    return Delivered("", str(instance.contacts[email].id), names, is_shared=is_shared, marks=marks)


def test_a_field_that_has_lost_its_value_is_emptied_and_others_of_the_batch_are_not_blanked(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    full = person(1, **{**ALL, "email": "p1@example.com"})
    (first,) = deliver(mautic, [full])
    assert set(first.remote_fields or ()) == {*row(mautic, full), mark_of(full)} - {"email"}
    bare = person(1, name="Ann")
    before = known(instance, "p1@example.com", *first.remote_fields or ())
    (attempt,) = deliver(mautic, [bare], before)
    held = instance.contacts["p1@example.com"].fields
    assert (held["firstname"], held["lastname"], held["phone"], held["scrapersky_has_gmail"]) == (
        "Ann",
        None,
        None,
        None,
    )
    assert set(attempt.remote_fields or ()) == {"firstname", mark_of(bare)}
    assert attempt.payload_hash == deliver(mautic, [bare])[0].payload_hash, "what is emptied for once is no data"
    last = instance.requests[-1].json
    assert "overwriteWithBlank" not in last[0], "only where it is needed"


def test_a_yes_that_became_a_no_does_not_stay_a_yes(mautic: Mautic, instance: MauticSimulator) -> None:
    (first,) = deliver(mautic, [person(1, has_gmail=True)])
    before = known(instance, "p1@example.com", *first.remote_fields or ())
    (second,) = deliver(mautic, [person(1, has_gmail=False)], before)
    assert instance.contacts["p1@example.com"].fields["scrapersky_has_gmail"] is None, "Mautic overlooks a 0"
    assert second.remote_fields is not None
    assert "scrapersky_has_gmail" not in second.remote_fields


def test_a_field_that_mautic_will_not_empty_is_kept_and_explain_says_so(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    deliver(mautic, [person(1)])
    before = known(instance, "p1@example.com", "phone", "firstname", "lastname")
    prepared = mautic.prepare(person(1), before)
    assert not isinstance(prepared, type(None))
    refused = Rejected("invalid_value", "phone: a phone number is required")
    again = mautic.next_request(prepared, refused)  # type: ignore[arg-type]
    assert again is not None
    assert "phone" not in again.call.payload
    assert "Mautic still holds phone" in mautic.note_of(again)


# A changed address


def moved(instance: MauticSimulator, *, is_shared: bool = False) -> Delivered:
    return known(instance, "p1@example.com", "firstname", "lastname", is_shared=is_shared)


def after(lost: Attempt, before: Delivered) -> Delivered:
    """What the database knows once the answer to an attempt was lost."""
    names = lost.remote_fields or frozenset()
    marks = frozenset(name for name in names if name.startswith(MARK))
    return replace(before, fields=names - marks, marks=marks)


NEW = person(1, email="new@example.com")


def test_a_changed_address_is_changed_by_id_and_makes_no_second_contact(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    deliver(mautic, [person(1)])
    (attempt,) = deliver(mautic, [NEW], moved(instance))
    assert isinstance(attempt.outcome, Synced)
    assert (attempt.outcome.reason, attempt.outcome.remote_id) == ("moved", "1")
    assert [contact.email for contact in instance.instance.contacts.values()] == ["new@example.com"]
    assert ("PATCH", "/api/contacts/batch/edit") in paths(instance)
    assert "moved from the old address" in attempt.outcome.message


def test_whoever_has_opted_out_stays_opted_out_under_the_new_address(mautic: Mautic, instance: MauticSimulator) -> None:
    deliver(mautic, [person(1)])
    contact = instance.contacts["p1@example.com"]
    instance.instance.save(replace(contact, do_not_contact={"email": 1}))
    deliver(mautic, [NEW], moved(instance))
    assert instance.contacts["new@example.com"].do_not_contact == {"email": 1}


def test_a_contact_that_has_the_new_address_already_is_not_merged_and_stays_opted_out(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    deliver(mautic, [person(1), person(2, email="new@example.com")])
    other = instance.contacts["new@example.com"]
    instance.instance.save(replace(other, do_not_contact={"email": 1}))
    (attempt,) = deliver(mautic, [NEW], moved(instance))
    assert isinstance(attempt.outcome, Synced)
    assert attempt.outcome.remote_id == str(other.id)
    assert "had a contact of the new address already" in attempt.outcome.message
    assert instance.contacts["new@example.com"].do_not_contact == {"email": 1}
    assert "p1@example.com" in instance.contacts


def test_a_copy_that_is_gone_is_made_anew_by_address(mautic: Mautic, instance: MauticSimulator) -> None:
    deliver(mautic, [person(1)])
    before = moved(instance)
    instance.instance.delete(instance.contacts["p1@example.com"])
    (attempt,) = deliver(mautic, [NEW], before)
    assert (attempt.outcome.reason, list(instance.contacts)) == ("created", ["new@example.com"])


def test_a_copy_that_goes_between_the_look_and_the_move_is_made_anew(
    mautic: Mautic, instance: MauticSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(mautic, [person(1)])
    before = moved(instance)
    send = Mautic.send

    async def and_somebody_deletes(self: Mautic, client: Any, records: Any) -> Any:
        if records[0].call.method == "PATCH":
            instance.instance.delete(instance.contacts["p1@example.com"])
        return await send(self, client, records)

    monkeypatch.setattr(Mautic, "send", and_somebody_deletes)
    (attempt,) = deliver(mautic, [NEW], before)
    assert (attempt.outcome.reason, list(instance.contacts)) == ("created", ["new@example.com"])


def test_a_copy_that_has_another_address_meanwhile_is_left_as_it_is(mautic: Mautic, instance: MauticSimulator) -> None:
    deliver(mautic, [person(1)])
    before = moved(instance)
    deliver(mautic, [person(1, email="first@example.com")], before)
    (attempt,) = deliver(mautic, [person(1, email="second@example.com")], before)
    assert isinstance(attempt.outcome, Synced)
    assert sorted(instance.contacts) == ["first@example.com", "second@example.com"], "nobody's contact was taken away"
    assert "another address meanwhile" in attempt.outcome.message


def test_a_move_whose_answer_was_lost_is_found_done(mautic: Mautic, instance: MauticSimulator) -> None:
    deliver(mautic, [person(1)])
    before = moved(instance)
    instance.inject("reset-after-write:method=PATCH:path=*:times=1")
    (lost,) = deliver(mautic, [NEW], before)
    assert isinstance(lost.outcome, Failed)
    (attempt,) = deliver(mautic, [NEW], after(lost, before))
    assert (attempt.outcome.reason, list(instance.contacts)) == ("updated", ["new@example.com"])


def test_a_move_that_was_lost_on_its_way_is_made_again(mautic: Mautic, instance: MauticSimulator) -> None:
    deliver(mautic, [person(1)])
    before = moved(instance)
    instance.inject("reset-before-write:method=PATCH:path=*:times=1")
    (lost,) = deliver(mautic, [NEW], before)
    (attempt,) = deliver(mautic, [NEW], after(lost, before))
    assert (attempt.outcome.reason, list(instance.contacts)) == ("moved", ["new@example.com"])


def test_a_contact_that_another_row_has_as_well_is_not_moved(mautic: Mautic, instance: MauticSimulator) -> None:
    deliver(mautic, [person(1)])
    (attempt,) = deliver(mautic, [NEW], moved(instance, is_shared=True))
    assert isinstance(attempt.outcome, Synced)
    assert sorted(instance.contacts) == ["new@example.com", "p1@example.com"]
    assert "another row has it as well" in attempt.outcome.message


@pytest.mark.parametrize("remote_id", [None, "p1@example.com", "x"])
def test_where_the_id_is_not_known_the_old_contact_is_kept(
    mautic: Mautic, instance: MauticSimulator, remote_id: str | None
) -> None:
    deliver(mautic, [person(1)])
    before = Delivered("", remote_id, marks=frozenset({mark_of(NEW, "p1@example.com")}))
    (attempt,) = deliver(mautic, [NEW], before)
    assert isinstance(attempt.outcome, Synced)
    assert sorted(instance.contacts) == ["new@example.com", "p1@example.com"]
    assert "keeps the contact of the old one" in attempt.outcome.message


@pytest.mark.parametrize("path", ["/api/contacts/1", "/api/contacts"])
def test_a_look_that_tells_nothing_sends_nothing(mautic: Mautic, instance: MauticSimulator, path: str) -> None:
    deliver(mautic, [person(1)])
    instance.inject(f"unexpected-200:method=GET:path={path}")
    (attempt,) = deliver(mautic, [NEW], moved(instance))
    assert (type(attempt.outcome), attempt.outcome.reason) == (Failed, "unexpected_answer")
    assert list(instance.contacts) == ["p1@example.com"]


# The segment


def test_those_who_were_delivered_join_the_segment_in_one_request_and_the_bad_one_does_not(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    with_segment = mautic.model_copy(update={"segment_id": 1})
    good, bad, other = deliver(with_segment, [person(1), person(2, email="bad@localhost-"), person(3)])
    assert [type(each.outcome) for each in (good, bad, other)] == [Synced, Rejected, Synced]
    assert (good.outcome.reason, other.request_size) == ("created", 2)
    assert all(contact.segments == {1} for contact in instance.instance.contacts.values())
    assert paths(instance) == [("POST", "/api/contacts/batch/new"), ("POST", "/api/segments/1/contacts/add")]


def test_nobody_is_complete_who_is_not_in_the_segment(mautic: Mautic, instance: MauticSimulator) -> None:
    with_segment = mautic.model_copy(update={"segment_id": 1})
    instance.inject("status-503:path=/api/segments/*")
    (failed,) = deliver(with_segment, [person(1)])
    assert (type(failed.outcome), failed.outcome.reason) == (Failed, "http_503")
    assert failed.remote_fields is not None
    assert failed.remote_fields > {"firstname", "lastname"}, "the contact is there, and may hold them"
    instance.heal()
    (again,) = deliver(with_segment, [person(1)])
    assert isinstance(again.outcome, Synced)


def test_a_contact_that_was_deleted_before_it_could_join_is_tried_again(
    mautic: Mautic, instance: MauticSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Mautic.send

    async def and_somebody_deletes(self: Mautic, client: Any, records: Any) -> Any:
        if records[0].call.path.startswith("/api/segments"):
            instance.instance.delete(instance.contacts["p1@example.com"])
        return await send(self, client, records)

    monkeypatch.setattr(Mautic, "send", and_somebody_deletes)
    gone, there = deliver(mautic.model_copy(update={"segment_id": 1}), [person(1), person(2)])
    assert (type(gone.outcome), gone.outcome.reason) == (Failed, "not_in_segment")
    assert isinstance(there.outcome, Synced)


@pytest.mark.parametrize(("segment_id", "reason"), [(9, "unknown_segment"), (2, "closed_segment")])
def test_a_segment_that_nobody_can_join_is_our_set_ups_fault(
    mautic: Mautic, instance: MauticSimulator, segment_id: int, reason: str
) -> None:
    instance.instance.add_segment(2, "Drafts", is_published=False)
    attempts = deliver(mautic.model_copy(update={"segment_id": segment_id}), [person(1), person(2)])
    for attempt in attempts:
        assert isinstance(attempt.outcome, DestinationDown)
        assert (attempt.outcome.reason, attempt.outcome.answer) == (reason, ""), "no contact is suspected"
        assert str(segment_id) in attempt.outcome.message


def test_another_segment_makes_a_contact_count_as_changed(mautic: Mautic) -> None:
    with_segment = mautic.model_copy(update={"segment_id": 1})
    hashes = {deliver(each, [person(1)])[0].payload_hash for each in (mautic, with_segment)}
    assert len(hashes) == 2


def test_mautic_is_asked_which_contacts_it_has_by_one_list(mautic: Mautic, instance: MauticSimulator) -> None:
    deliver(mautic, [person(number) for number in range(1, 21)])
    before = instance.requests.total

    async def ask() -> frozenset[str]:
        async with mautic.client() as client:
            return await mautic.missing(client, [*(str(number) for number in range(1, 20)), "77", "x"])

    assert asyncio.run(ask()) == {"77", "x"}
    assert instance.requests.total == before + 1
    instance.inject("status-503:method=GET:path=*")
    assert len(asyncio.run(ask())) == 21
