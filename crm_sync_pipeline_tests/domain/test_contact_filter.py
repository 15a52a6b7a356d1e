from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from crm_sync_pipeline.domain.contact_filter import OWN, ContactFilter, ids_in, parse_moment, parse_statuses
from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus

ADDRESS = "jane.doe@example.com"


@pytest.mark.parametrize(
    ("conditions", "is_all"),
    [
        ({}, True),
        ({"email_contains": ""}, True),
        ({"email_contains": "@"}, True),
        ({"statuses": {OWN: tuple(SyncStatus)}}, True),
        ({"statuses": {OWN: (SyncStatus.New,)}}, False),
        ({"has_gmail": False}, False),
        ({"email_contains": "%"}, False),
        ({"failed_since": timedelta(hours=1)}, False),
    ],
)
def test_a_filter_knows_whether_it_leaves_anybody_out(conditions: dict[str, Any], is_all: bool) -> None:
    assert ContactFilter(**conditions).matches_everything is is_all


def test_a_filter_reads_as_a_sentence_without_the_text_that_was_searched_for() -> None:
    wanted = ContactFilter(
        statuses={OWN: (SyncStatus.New, SyncStatus.Error), "hubspot": (SyncStatus.Complete,)},
        states=(ProcessingStatus.Error,),
        reasons=("http_503",),
        failed_since=timedelta(hours=2),
        failed_until=datetime(2026, 3, 1, 12, tzinfo=timezone.utc),
        email_type="FREE",
        has_gmail=False,
        email_contains=ADDRESS,
        name_contains="Doe",
    )
    assert str(wanted) == (
        "status New or Error, hubspot status Complete, state Error, reason http_503, failed since 2 h before, failed "
        "until 2026-03-01 12:00:00 UTC, email_type FREE, has no Gmail, e-mail contains <text of 20 characters>, "
        "name contains <text of 3 characters>"
    )
    assert "Doe" not in repr(wanted)
    assert str(ContactFilter()) == "all"


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ({"domain_id": ADDRESS}, "domain_id must be one word"),
        ({"email_type": ADDRESS}, "email_type must be one word"),
        ({"reasons": (ADDRESS,)}, "A reason is a word like http_503"),
    ],
)
def test_what_cannot_be_right_is_refused_without_repeating_it(conditions: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        ContactFilter(**conditions)
    assert ADDRESS not in str(refused.value)
    assert "Nothing was changed." in str(refused.value)


def test_statuses_are_read_whatever_the_case_and_of_any_crm() -> None:
    assert parse_statuses(["new", "ERROR", "hubspot=Complete", "new"]) == {
        OWN: (SyncStatus.New, SyncStatus.Error),
        "hubspot": (SyncStatus.Complete,),
    }
    with pytest.raises(ValueError, match=r"There is no such status\. Use New, Selected"):
        parse_statuses(["Neu"])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", None),
        ("90min", timedelta(minutes=90)),
        ("2 h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=timezone.utc)),
        ("2026-03-01T14:00Z", datetime(2026, 3, 1, 14, tzinfo=timezone.utc)),
        ("2026-03-01 14:00+02:00", datetime(2026, 3, 1, 12, tzinfo=timezone.utc)),
    ],
)
def test_a_moment_is_a_time_or_so_long_ago(text: str, moment: datetime | timedelta | None) -> None:
    assert parse_moment(text) == moment


def test_a_moment_that_cannot_be_read_is_refused_with_what_can() -> None:
    with pytest.raises(ValueError, match="A time looks like '2026-03-01 14:00'"):
        parse_moment("yesterday")


@pytest.mark.parametrize(
    "text", ["a\nb", "\ufeffid;email\r\na;x\r\n\r\nb;y", 'contact_id,"name"\n"a","Doe, J"\nb,x', "a\tx\nb\ty"]
)
def test_ids_stand_one_a_line_or_in_the_first_column(text: str) -> None:
    assert ids_in(text) == ["a", "b"]
