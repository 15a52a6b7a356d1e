"""`crm-sync check`: what Mautic says of login, rights, segment and fields, before a contact is sent."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.domain.check import Line, State
from crm_sync_pipeline.monitoring.readiness import utc_now
from crm_sync_pipeline.simulators.mautic import DEFAULT_USER, MauticConfig, MauticSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.destinations.mautic.conftest import deliver, person


def lines(mautic: Mautic, *, create: bool = False) -> Sequence[Line]:
    async def ask() -> Sequence[Line]:
        async with mautic.client() as client:
            return await mautic.check(client, create_fields=create, clock=utc_now)

    return asyncio.run(ask())


def states(found: Sequence[Line]) -> dict[str, State]:
    return {line.name: line.state for line in found}


def red(found: Sequence[Line]) -> list[Line]:
    return [line for line in found if line.state is State.RED]


def test_of_a_mautic_that_is_well_every_line_is_green_and_no_contact_was_sent(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    found = lines(mautic.model_copy(update={"segment_id": 1}))
    assert states(found) == dict.fromkeys(
        ("Login", "Version", "Clock of Mautic", "Rights", "Segment", "Fields"), State.GREEN
    )
    assert [line.says for line in found if line.name == "Version"] == ["5.1.1"]
    assert not instance.contacts


def test_an_api_that_is_off_is_named_and_nothing_more_is_asked(mautic: Mautic, instance: MauticSimulator) -> None:
    instance.switches.api_enabled = False
    (line,) = lines(mautic)
    assert (line.name, line.state) == ("Login", State.RED)
    assert "API disabled" in line.says
    assert "API enabled" in line.to_do


def test_basic_auth_that_is_off_is_named(mautic: Mautic, instance: MauticSimulator) -> None:
    instance.switches.basic_auth_enabled = False
    basic = mautic.model_copy(update={"client_id": "", "username": DEFAULT_USER, "password": "x"})
    (line,) = lines(basic)
    assert "Enable HTTP basic auth" in line.to_do


def test_a_wrong_client_is_named(mautic: Mautic) -> None:
    (line,) = lines(mautic.model_copy(update={"client_secret": "wrong"}))
    assert (line.name, line.state) == ("Login", State.RED)
    assert "MAUTIC_CLIENT_SECRET" in line.to_do


def test_a_wrong_password_is_named(mautic: Mautic) -> None:
    basic = mautic.model_copy(update={"client_id": "", "username": DEFAULT_USER, "password": "wrong"})
    (line,) = lines(basic)
    assert "MAUTIC_PASSWORD" in line.to_do


@pytest.mark.parametrize("permission", ["contacts:create", "contacts:view"])
def test_a_user_without_rights_is_told_which_it_needs(
    mautic: Mautic, instance: MauticSimulator, permission: str
) -> None:
    instance.switches.forbidden = frozenset({permission})
    (line,) = red(lines(mautic))
    assert line.name == "Rights"
    assert "view, create and edit contacts" in line.to_do


def test_fields_that_are_missing_are_named_and_made_if_somebody_says_so(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    for alias in ("scrapersky_page_id", "scrapersky_has_gmail"):
        del instance.instance.fields[alias]
    (line,) = red(lines(mautic))
    assert line.says.startswith("Mautic lacks scrapersky_page_id, scrapersky_has_gmail, and ignores")
    assert "--create-fields" in line.to_do
    found = lines(mautic, create=True)
    assert red(found) == []
    assert [line.says for line in found if line.name == "Fields made"] == ["scrapersky_page_id, scrapersky_has_gmail"]
    deliver(mautic, [person(1, page_id="p", has_gmail=True)])
    held = instance.contacts["p1@example.com"].fields
    assert (held["scrapersky_page_id"], held["scrapersky_has_gmail"]) == ("p", 1)
    assert instance.instance.fields["scrapersky_page_id"].char_length_limit == 191


def test_fields_that_wait_for_the_cron_job_are_named(mautic: Mautic) -> None:
    simulator = MauticSimulator(MauticConfig(custom_fields={}, fields_in_background=True))
    with running(simulator.app) as server:
        here = mautic.model_copy(update={"base_url": server.base_url})
        found = red(lines(here, create=True))
        assert [line.name for line in found] == ["Unpublished fields"]
        simulator.publish_fields()
        assert red(lines(here)) == []


def test_a_field_that_does_not_take_the_value_is_named_with_its_setting(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    fields = instance.instance.fields
    fields["scrapersky_email_type"] = replace(fields["scrapersky_email_type"], type="select")
    fields["scrapersky_has_gmail"] = replace(fields["scrapersky_has_gmail"], type="datetime")
    fields["scrapersky_source_url"] = replace(fields["scrapersky_source_url"], char_length_limit=64)
    found = lines(mautic)
    assert {line.name: line.state for line in found if line.name.startswith("Field ")} == {
        "Field scrapersky_email_type": State.RED,
        "Field scrapersky_source_url": State.YELLOW,
        "Field scrapersky_has_gmail": State.RED,
    }
    assert "MAUTIC_FIELD_EMAIL_TYPE" in next(line.to_do for line in red(found))


def test_all_pages_of_fields_are_read(mautic: Mautic, instance: MauticSimulator) -> None:
    for number in range(250):
        instance.instance.add_field(f"more{number}", "More", "text")
    last = mautic.model_copy(update={"field_page_id": "more249"})
    assert red(lines(last)) == []


def test_fields_that_may_not_be_asked_for_are_worth_knowing(mautic: Mautic, instance: MauticSimulator) -> None:
    instance.switches.forbidden = frozenset({"fields"})
    found = lines(mautic)
    assert states(found)["Fields"] is State.YELLOW
    assert red(found) == []


@pytest.mark.parametrize("segment_id", [9, 2])
def test_a_segment_that_is_missing_or_not_published_is_named(
    mautic: Mautic, instance: MauticSimulator, segment_id: int
) -> None:
    instance.instance.add_segment(2, "Drafts", is_published=False)
    (line,) = red(lines(mautic.model_copy(update={"segment_id": segment_id})))
    assert line.name == "Segment"
    assert str(segment_id) in line.says


def test_an_old_version_is_worth_knowing(mautic: Mautic) -> None:
    with running(MauticSimulator(MauticConfig(version="4.4.13")).app) as server:
        found = lines(mautic.model_copy(update={"base_url": server.base_url}))
    assert states(found)["Version"] is State.YELLOW


@pytest.mark.parametrize(
    "fault",
    [
        *("unexpected-200", "garbage-201", "status-404", "status-405", "status-503", "status-502-html", "status-429"),
        *("reset-before-write", "empty-201", "status-402", "status-500-empty"),
    ],
)
def test_whatever_answers_in_mautics_place_is_a_red_line_and_no_error(
    mautic: Mautic, instance: MauticSimulator, fault: str
) -> None:
    instance.inject(f"{fault}:method=*:path=/api/*")
    assert len(red(lines(mautic))) == 1


def test_a_field_that_is_unique_in_mautic_is_named_because_it_merges_contacts(
    mautic: Mautic, instance: MauticSimulator
) -> None:
    for alias in ("phone", "scrapersky_domain_id", "website"):
        instance.instance.fields[alias] = replace(instance.instance.fields[alias], is_unique=True)
    (line,) = red(lines(mautic))
    assert line.name == "Unique fields"
    assert line.says.startswith("phone, scrapersky_domain_id are unique")
