"""The queue knows no CRM by itself: it serves those that it is handed, whoever brings them."""

import pytest

from crm_sync_pipeline.contact_queue.people.acts import Actor
from crm_sync_pipeline.contact_queue.people.selection import SelectionError, Which
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline_tests.builders import World

ACME = {"acme": Crm("acme", "Acme", "acme_ref", carries={"name": ("full_name",), "phone_number": ("tel",)})}


def test_a_new_contacts_table_has_the_columns_of_the_crms_that_are_handed_in_and_no_other(empty: World) -> None:
    database = Database(url=empty.url, crms=ACME)

    database.upgrade(lambda _line: None)

    columns = database.contacts().columns
    assert columns.keys() >= {"acme_sync_status", "acme_processing_status", "acme_processing_error", "acme_ref"}
    assert not [name for name in columns if "brevo" in name or "hubspot" in name]
    assert [finding for finding in database.check() if finding.ok is False] == []
    assert [crm.title for crm in database.report().crms()] == ["Acme"]


def test_contacts_are_selected_and_claimed_for_a_crm_that_is_handed_in_and_for_no_other(empty: World) -> None:
    database = Database(url=empty.url, crms=ACME)
    database.upgrade(lambda _line: None)
    empty.execute("INSERT INTO contacts (email) VALUES ('ann@example.com')")
    acts = database.acts(Actor("somebody"))

    done = acts.carry_out("select", Which(None), ["acme"], everything=True)

    assert "1 contacts for 1 CRM(s)" in done.message
    assert database.queue("acme").claim(10).size == 1
    with pytest.raises(SelectionError, match=r"^'brevo' is not a known CRM\. Nothing was changed\. Use one of acme\.$"):
        acts.carry_out("select", Which(None), ["brevo"], everything=True)


def test_what_a_missing_column_costs_is_said_in_the_fields_of_the_crm(empty: World) -> None:
    database = Database(url=empty.url, crms=ACME)
    database.upgrade(lambda _line: None)
    empty.execute("ALTER TABLE contacts DROP COLUMN name, DROP COLUMN page_id")

    found = {finding.subject: finding.detail for finding in database.check() if finding.optional}

    assert "Acme gets no full_name;" in found["Column name"]
    assert "it is not sent;" in found["Column page_id"]
