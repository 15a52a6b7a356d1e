"""Contacts whose e-mail address has changed since HubSpot got them: the id says whom it is about."""

from datetime import timedelta
from uuid import UUID

import pytest

from crm_sync_pipeline_tests.destinations.hubspot.conftest import Account

OLD, NEW = "ann@example.com", "ann@new.example.com"


@pytest.fixture
def ann(account: Account) -> UUID:
    """Delivered as ann@example.com, contact 101."""
    (contact,) = account.add(OLD, name="Ann Bee")
    account.run()
    return contact


def held(account: Account) -> dict[str, str | None]:
    return {each.id: each.email for each in account.simulator.account.contacts.values()}


def test_the_contact_moves_and_keeps_its_id(account: Account, ann: UUID) -> None:
    account.change(ann, email=f" {NEW.upper()}", name="Ann Dee")
    tally = account.run()
    assert held(account) == {"101": NEW}
    assert account.simulator.contacts[NEW].properties["lastname"] == "Dee"
    assert (account.status(ann), account.remote_id(ann), tally.reasons) == ("Complete", "101", {"moved": 1})
    assert [step for step, _ in account.steps()] == ["upsert", "read", "update"]
    assert "Its contact at HubSpot was moved from the old address" in account.verdict(ann).verdict


def test_a_hundred_that_have_moved_take_two_requests(account: Account) -> None:
    ids = account.add(*(f"p{number}@example.com" for number in range(100)))
    account.run()
    for number, contact in enumerate(ids):
        account.change(contact, email=f"q{number}@example.com")
    account.run()
    assert account.steps()[1:] == [("read", 100), ("update", 100)]
    assert sorted(filter(None, held(account).values())) == sorted(f"q{number}@example.com" for number in range(100))


def test_whoever_opted_out_is_neither_moved_nor_created_again(account: Account, ann: UUID) -> None:
    account.edit("101", hs_email_optout="true")
    account.change(ann, email=NEW)
    assert account.run().reasons == {"opted_out_at_old_address": 1}
    assert held(account) == {"101": OLD}
    assert "(101) has opted out of e-mail" in account.error(ann)
    assert "crm-sync forget" in account.error(ann)


def test_an_opt_out_does_not_stop_a_contact_that_has_the_new_address_already(account: Account, ann: UUID) -> None:
    account.edit("101", email=NEW, hs_email_optout="true")
    account.change(ann, email=NEW, name="Ann Dee")
    assert account.run().reasons == {"updated": 1}
    assert account.simulator.contacts[NEW].properties["lastname"] == "Dee"
    assert account.simulator.contacts[NEW].properties["hs_email_optout"] == "true"


def test_a_contact_that_is_gone_is_made_anew(account: Account, ann: UUID) -> None:
    account.simulator.account.archive(account.simulator.account.contacts["101"])
    account.change(ann, email=NEW)
    assert account.run().reasons == {"created": 1}
    assert held(account) == {"102": NEW}
    assert account.remote_id(ann) == "102"


def test_one_that_is_gone_between_look_and_move_is_made_anew(account: Account, ann: UUID) -> None:
    account.change(ann, email=NEW)
    account.simulator.inject("status-404:path=/crm/*/batch/update:times=1")
    account.run()
    assert account.simulator.contacts[NEW].id == account.remote_id(ann) == "102"


def test_where_the_new_address_is_another_contacts_that_one_is_updated(account: Account, ann: UUID) -> None:
    account.add(NEW)
    account.run()
    account.world.execute("DELETE FROM contacts WHERE email = :email", email=NEW)
    account.change(ann, email=NEW, name="Ann Dee")
    account.run()
    assert held(account) == {"101": OLD, "102": NEW}
    assert account.simulator.contacts[NEW].properties["lastname"] == "Dee"
    assert account.remote_id(ann) == "102"
    assert "keeps that of the old one (101)" in account.verdict(ann).verdict


def test_an_address_that_its_own_contact_has_as_a_secondary_one_is_an_update(account: Account, ann: UUID) -> None:
    account.edit("101", hs_additional_emails=f"x@example.com;{NEW}")
    account.change(ann, email=NEW, name="Ann Dee")
    assert account.run().reasons == {"updated": 1}
    assert held(account) == {"101": OLD}
    assert account.simulator.contacts[OLD].properties["lastname"] == "Dee"
    assert account.remote_id(ann) == "101"


def test_of_two_rows_with_one_address_the_one_that_stays_keeps_the_contact(account: Account, ann: UUID) -> None:
    (other,) = account.add(OLD, name="Ann Bee")
    account.run()
    assert account.remote_id(other) == "101"
    account.change(ann, email=NEW)
    account.run()
    assert held(account) == {"101": OLD, "102": NEW}
    assert (account.remote_id(ann), account.remote_id(other)) == ("102", "101")
    assert "was left as it is: another row has it as well" in account.verdict(ann).verdict


def test_once_the_other_row_is_not_wanted_any_more_the_contact_moves(account: Account, ann: UUID) -> None:
    (other,) = account.add(OLD)
    account.run()
    account.world.unselect(other, crms=("hubspot",))
    account.change(ann, email=NEW)
    account.run()
    assert held(account) == {"101": NEW}


def test_of_two_rows_that_move_at_once_neither_takes_the_contact_with_it(account: Account, ann: UUID) -> None:
    (other,) = account.add(OLD)
    account.run()
    account.change(ann, email=NEW)
    account.change(other, email="bea@example.com")
    account.run()
    assert sorted(filter(None, held(account).values())) == sorted([OLD, NEW, "bea@example.com"])
    assert account.simulator.contacts[NEW].id == account.remote_id(ann)


def test_of_two_rows_that_both_move_the_second_takes_the_contact_with_it(account: Account, ann: UUID) -> None:
    (other,) = account.add(OLD)
    account.run()
    account.change(ann, email=NEW)
    account.run()
    account.change(other, email="bea@example.com")
    account.run()
    assert held(account) == {"101": "bea@example.com", "102": NEW}


def test_a_contact_whose_address_was_changed_at_hubspot_as_well_is_left_alone(account: Account, ann: UUID) -> None:
    account.edit("101", email="elsewhere@example.com")
    account.change(ann, email=NEW)
    account.run()
    assert held(account) == {"101": "elsewhere@example.com", "102": NEW}
    assert "(101) has another address now, and was left as it is" in account.verdict(ann).verdict


def test_a_move_whose_answer_was_lost_is_looked_at_again(account: Account, ann: UUID) -> None:
    account.change(ann, email=NEW)
    account.simulator.inject("reset-after-write:times=1:path=/crm/*/batch/update")
    account.run()
    assert account.status(ann) == "Queued"
    account.world.pass_time(timedelta(minutes=6))
    account.run()
    assert held(account) == {"101": NEW}
    assert (account.status(ann), account.remote_id(ann)) == ("Complete", "101")


@pytest.mark.parametrize("fault", ["garbage-201", "unexpected-200", "status-503", "hang"])
def test_a_look_that_is_not_answered_changes_nothing(account: Account, ann: UUID, fault: str) -> None:
    account.change(ann, email=NEW)
    account.simulator.inject(f"{fault}:path=/crm/*/batch/read")
    account.run(timeout_seconds=0.3)
    assert held(account) == {"101": OLD}
    assert account.status(ann) == "Queued"


def test_no_address_is_kept_in_our_own_tables(account: Account, ann: UUID) -> None:
    account.change(ann, email=NEW)
    account.run()
    for table in ("deliveries", "attempts"):
        assert "@" not in str(account.world.rows(f"SELECT * FROM crm_sync.{table}"))
