"""Which contacts an act is for: a filter by the columns of the table, and ids out of a file.

A ValueError says what, why and what to do. It never repeats what was searched for: an address may be in it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta, timezone

from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus

OWN = ""
"""In place of a CRM's name: the one that the act is for."""

_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REASON = re.compile(r"[a-z0-9_]{1,64}")
_AGO = re.compile(r"(\d{1,5}) ?(s|min|h|d)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}
_LENGTHS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_IN_EVERY_ADDRESS = ("", "@")


@dataclass(frozen=True, slots=True)
class ContactFilter:
    """All of it must be true of a contact; what is empty or None is not asked.

    `statuses` are sync statuses by CRM, under OWN for the CRM that the act is for; any of them will do. `states` are
    processing statuses of that CRM. `reasons` and the time span are those of the newest attempt, where that was no
    success; a time is a moment or an age. `email_contains` and `name_contains` are taken literally, whatever the
    case.
    """

    statuses: Mapping[str, tuple[SyncStatus, ...]] = field(default_factory=dict)
    states: tuple[ProcessingStatus, ...] = ()
    reasons: tuple[str, ...] = ()
    failed_since: datetime | timedelta | None = None
    failed_until: datetime | timedelta | None = None
    email_type: str | None = None
    domain_id: str | None = None
    page_id: str | None = None
    has_gmail: bool | None = None
    email_contains: str = field(default="", repr=False)
    name_contains: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """ValueError for what can't be right."""
        for name in ("email_type", "domain_id", "page_id"):
            value = getattr(self, name)
            if value is not None and not _WORD.fullmatch(value):
                hint = " It is an id, not a name; e-mail contains '@example.com' finds a domain by its name." * (
                    name != "email_type"
                )
                raise ValueError(f"{name} must be one word of letters, digits, - and _.{hint} Nothing was changed.")
        for reason in self.reasons:
            if not _REASON.fullmatch(reason):
                raise ValueError(
                    "A reason is a word like http_503 or invalid_email; `crm-sync status` lists those that there are. "
                    "Nothing was changed."
                )

    @property
    def matches_everything(self) -> bool:
        """Whether it leaves nobody out, but for those without an e-mail address."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        told["email_contains"] = "" if self.email_contains in _IN_EVERY_ADDRESS else self.email_contains
        told["statuses"] = {crm: wanted for crm, wanted in self.statuses.items() if set(wanted) != set(SyncStatus)}
        return not any(value or value is False for value in told.values())

    def names_state_for(self, crm: str) -> bool:
        """Whether it says which states of this CRM are meant, so that the act has nothing to assume."""
        return bool(self.states or self.statuses.get(OWN) or self.statuses.get(crm))

    def __str__(self) -> str:
        """The filter for the record of acts, without personal data."""
        return ", ".join(self._parts()) or "all"

    def _parts(self) -> Iterator[str]:
        for crm, wanted in self.statuses.items():
            yield f"{crm + ' ' if crm else ''}status {_any_of(wanted)}"
        if self.states:
            yield f"state {_any_of(self.states)}"
        if self.reasons:
            yield f"reason {' or '.join(self.reasons)}"
        if self.failed_since is not None:
            yield f"failed since {_moment(self.failed_since)}"
        if self.failed_until is not None:
            yield f"failed until {_moment(self.failed_until)}"
        for name in ("email_type", "domain_id", "page_id"):
            if getattr(self, name) is not None:
                yield f"{name} {getattr(self, name)}"
        if self.has_gmail is not None:
            yield "has Gmail" if self.has_gmail else "has no Gmail"
        for text, what in ((self.email_contains, "e-mail"), (self.name_contains, "name")):
            if text:
                yield f"{what} contains <text of {len(text)} characters>"


def _any_of(statuses: Sequence[SyncStatus] | Sequence[ProcessingStatus]) -> str:
    return " or ".join(status.value for status in statuses)


def _moment(at: datetime | timedelta) -> str:
    if isinstance(at, datetime):
        return f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    seconds = at.total_seconds()
    unit, length = next((unit, length) for unit, length in _LENGTHS if seconds >= length or unit == "s")
    return f"{seconds / length:g} {unit} before"


def parse_statuses(words: Sequence[str]) -> dict[str, tuple[SyncStatus, ...]]:
    """'Error', for the CRM that the act is for, or 'name=Complete', for another, whatever the case. ValueError else."""
    found: dict[str, tuple[SyncStatus, ...]] = {}
    known = {status.value.lower(): status for status in SyncStatus}
    for word in words:
        crm, _, label = word.rpartition("=")
        status = known.get(label.strip().lower())
        if status is None:
            raise ValueError(
                f"There is no such status. Use {', '.join(status.value for status in SyncStatus)}, or that of another "
                "CRM, as name=Complete. Nothing was changed."
            )
        key = crm.strip().lower()
        found[key] = tuple(dict.fromkeys([*found.get(key, ()), status]))
    return found


def parse_moment(text: str) -> datetime | timedelta | None:
    """'2026-03-01', '2026-03-01 14:00' (UTC unless it says otherwise), or an age: '90 min', '2h', '3d'."""
    if not text.strip():
        return None
    if ago := _AGO.fullmatch(text.strip()):
        return timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        at = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(
            "A time looks like '2026-03-01 14:00', which is UTC, or says how long ago: '90min', '2h', '3d'. "
            "Nothing was changed."
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def ids_in(text: str) -> list[str]:
    """The contact ids of a text: one a line, or the first column of CSV, with or without a heading."""
    first_column = [re.split("[,;\t]", line)[0].strip().strip('"') for line in text.removeprefix("\ufeff").splitlines()]
    if first_column and first_column[0].lower() in ("id", "contact_id"):
        first_column = first_column[1:]
    return [word for word in first_column if word]
