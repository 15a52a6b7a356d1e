"""How Mautic shows contacts, fields and segments, and finds contacts.

The shape of a contact is that of LeadBundle's functional tests, without the parts that are empty here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from crm_sync_pipeline.simulators.exchange import Answer, json_answer
from crm_sync_pipeline.simulators.mautic.state import Field, Instance, MauticContact, Segment

Query = Mapping[str, list[str]]

GROUPS = ("core", "social", "personal", "professional")
DEFAULT_PAGE = 30
_COLUMNS: Mapping[str, Callable[[MauticContact], str]] = {
    "id": lambda contact: str(contact.id),
    "email": lambda contact: contact.email or "",
}


def shown_contact(instance: Instance, contact: MauticContact) -> dict[str, Any]:
    """Show a contact: its fields in groups, and all of them once more, as one object. An empty group is a list."""
    groups: dict[str, Any] = {group: {} for group in GROUPS}
    every: dict[str, Any] = {"id": contact.id}
    for field in instance.fields.values():
        if not field.is_published:
            continue
        value = contact.fields.get(field.alias)
        every[field.alias] = value
        groups[field.group][field.alias] = {
            "id": str(field.id),
            "label": field.label,
            "alias": field.alias,
            "type": field.type,
            "group": field.group,
            "value": None if value is None else str(value),
        }
    return {
        "id": contact.id,
        "isPublished": True,
        "dateAdded": shown_time(contact.added_at),
        "dateModified": shown_time(contact.modified_at),
        "points": contact.fields.get("points") or 0,
        "color": None,
        "fields": {**{group: members or [] for group, members in groups.items()}, "all": every},
        "tags": [{"id": number, "tag": tag} for number, tag in enumerate(contact.tags, 1)],
        "doNotContact": [
            {"id": number, "reason": reason, "comments": "", "channel": channel, "channelId": None}
            for number, (channel, reason) in enumerate(contact.do_not_contact.items(), 1)
        ],
        "owner": None,
        "stage": None,
        "ipAddresses": [],
        "utmtags": [],
        "frequencyRules": [],
    }


def shown_time(moment: datetime) -> str:
    """Write a time as PHP's DATE_ATOM does."""
    return moment.isoformat(timespec="seconds")


def shown_field(field: Field) -> dict[str, Any]:
    """Show a field of contacts."""
    return {
        "id": field.id,
        "label": field.label,
        "alias": field.alias,
        "type": field.type,
        "group": field.group,
        "object": "lead",
        "isPublished": field.is_published,
        "isUniqueIdentifier": field.is_unique or field.alias == "email",
        "isRequired": False,
        "charLengthLimit": field.char_length_limit,
        "properties": {"no": "No", "yes": "Yes"} if field.type == "boolean" else [],
    }


def shown_segment(segment: Segment) -> dict[str, Any]:
    """Show a segment."""
    return {
        "id": segment.id,
        "name": segment.name,
        "alias": segment.alias,
        "isPublished": segment.is_published,
        "isGlobal": True,
        "filters": [],
    }


def listed_contacts(instance: Instance, query: Query) -> Answer:
    """GET contacts: by id in an object, with the total as text. `search` and `where` narrow it down."""
    found = [contact for contact in instance.contacts.values() if _matches(contact, query)]
    shown = {str(contact.id): shown_contact(instance, contact) for contact in page(found, query)}
    return json_answer(200, {"total": str(len(found)), "contacts": shown})


def page(items: Sequence[Any], query: Query) -> Sequence[Any]:
    """Cut a page out: start and limit, 30 where it is not said."""
    start, limit = _number(query, "start", 0), _number(query, "limit", DEFAULT_PAGE)
    return items[start : start + limit]


def addresses_asked_for(query: Query) -> list[str]:
    """The addresses that a query names, for the log of requests."""
    words = _words(query)
    return (
        [words["email"].lower()]
        if "email" in words
        else [value.lower() for column, values in _conditions(query) if column == "email" for value in values]
    )


def _matches(contact: MauticContact, query: Query) -> bool:
    words = _words(query)
    if "email" in words and words["email"].lower() not in (contact.email or "").lower():  # a part of it is enough
        return False
    if "" in words and not any(words[""].lower() in str(value).lower() for value in contact.fields.values() if value):
        return False
    return all(_COLUMNS[column](contact) in values for column, values in _conditions(query) if column in _COLUMNS)


def _words(query: Query) -> dict[str, str]:
    """`search` as Mautic reads it: email:jane@example.com, or a text that any field may hold, by the name ""."""
    text = query.get("search", [""])[0].strip()
    if not text:
        return {}
    command, colon, rest = text.partition(":")
    return {command: rest.strip(" \"'")} if colon and command.isalpha() else {"": text}


def _conditions(query: Query) -> list[tuple[str, list[str]]]:
    """`where[0][col]=email&where[0][expr]=eq&where[0][val]=...`; expr may be in, with commas between the values."""
    numbers = sorted({matched[1] for name in query if (matched := re.fullmatch(r"where\[(\d+)\]\[col\]", name))})
    found = []
    for number in numbers:
        column, expression, value = (query.get(f"where[{number}][{part}]", [""])[0] for part in ("col", "expr", "val"))
        found.append((column, value.split(",") if expression == "in" else [value]))
    return found


def _number(query: Query, name: str, default: int) -> int:
    text = query.get(name, [""])[0]
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else default
