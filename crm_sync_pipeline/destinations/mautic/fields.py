"""The fields of Mautic that a contact fills, and whether those of an instance take their values.

https://developer.mautic.org/#fields
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from crm_sync_pipeline.destinations.mautic.settings import MauticSettings
from crm_sync_pipeline.domain.check import Line, State

LONGEST_TEXT = 191
"""Characters that a text field of Mautic's holds at most."""

OPTIONAL = ("domain_id", "page_id", "email_type", "source_url", "has_gmail")
"""The columns whose fields are named by settings, MAUTIC_FIELD_..."""

CARRIED_BY: Mapping[str, tuple[str, ...]] = {
    "name": ("firstname", "lastname"),
    "phone_number": ("phone",),
    **{name: (str(MauticSettings.model_fields[f"field_{name}"].default),) for name in OPTIONAL},
}
"""The fields that each optional column of the contacts table fills, unless the settings name others."""

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")
_PRESCRIBED = ("firstname", "lastname", "phone")
_TEXTS = frozenset({"text", "textarea", "html", "lookup", "url", "tel"})
_CREATE = "`crm-sync check --crm mautic --create-fields` makes them; in the UI, check_destination does."


def is_overlooked(value: object) -> bool:
    """Whether Mautic drops a value as if it had not been sent: a number that is 0, before pull request 15900 (2026).

    So a yes can't be overwritten by a no, but only by a blank.
    """
    text = str(value)
    return bool(_NUMBER.fullmatch(text)) and int(float(text)) == 0


@dataclass(frozen=True, slots=True)
class Field:
    """A field of contacts in Mautic. One that is not published is overlooked as if it were not there.

    Contacts that share the value of a unique one are one contact to Mautic, whatever their addresses.
    """

    type: str
    is_published: bool
    most_characters: int | None = None
    is_unique: bool = False


def known_in(rows: Iterable[Any]) -> dict[str, Field]:
    """The fields in an answer, by their aliases."""
    found = {}
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("alias"), str):
            limit = row.get("charLengthLimit")
            most = limit if isinstance(limit, int) and not isinstance(limit, bool) else None
            is_unique = bool(row.get("isUniqueIdentifier") or row.get("isUniqueIdentifer"))  # as older ones spell it
            is_published = row.get("isPublished") is not False
            found[row["alias"]] = Field(str(row.get("type") or ""), is_published, most, is_unique)
    return found


def to_create(alias: str, column: str) -> dict[str, Any]:
    """What makes a field for that column."""
    shown = {"label": alias.replace("_", " ").capitalize(), "alias": alias, "object": "lead", "group": "core"}
    if column == "has_gmail":
        return {**shown, "type": "boolean", "properties": {"no": "No", "yes": "Yes"}}
    return {**shown, "type": "text", "charLengthLimit": LONGEST_TEXT}


def missing_in(known: Mapping[str, Field], aliases: Mapping[str, str]) -> dict[str, str]:
    """The columns whose fields Mautic lacks, with the alias of each."""
    return {column: alias for column, alias in aliases.items() if alias not in known}


def field_lines(known: Mapping[str, Field], aliases: Mapping[str, str]) -> list[Line]:
    """What the fields of an instance mean for what we send; `aliases` by their columns."""
    lines = []
    if missing := missing_in(known, aliases):
        names = ", ".join(missing.values())
        what = "it" if len(missing) == 1 else "them"
        says = f"Mautic lacks {names}, and ignores what is sent for {what} without a word"
        lines.append(Line("Fields", State.RED, says, f"{_CREATE} Or name other fields in MAUTIC_FIELD_..."))
    waiting = [alias for alias in aliases.values() if alias in known and not known[alias].is_published]
    if waiting:
        says = f"{', '.join(waiting)} {'is' if len(waiting) == 1 else 'are'} not published; Mautic ignores what is sent"
        to_do = "Publish in Mautic's Settings > Custom Fields; fields just made may wait for its cron job."
        lines.append(Line("Unpublished fields", State.RED, says, to_do))
    unique = [name for name in (*_PRESCRIBED, *aliases.values()) if name in known and known[name].is_unique]
    if unique:
        are = "is" if len(unique) == 1 else "are"
        says = f"{', '.join(unique)} {are} unique there: Mautic merges contacts that share a value"
        to_do = "Take that away in Mautic's Custom Fields, so that the e-mail address alone tells contacts apart."
        lines.append(Line("Unique fields", State.RED, says, to_do))
    lines += [
        line for column, alias in aliases.items() if alias in known and (line := _misfit(column, alias, known[alias]))
    ]
    return lines or [Line("Fields", State.GREEN, f"all {len(aliases)} that are named by settings exist and fit")]


def _misfit(column: str, alias: str, found: Field) -> Line | None:
    if column == "has_gmail":
        if found.type in ("boolean", "number", *_TEXTS):
            return None
        says, state = f"is of type {found.type} in Mautic, which refuses 0 and 1; it must be a boolean", State.RED
    elif found.type not in _TEXTS:
        says, state = (
            f"is of type {found.type} in Mautic, which refuses other texts than its own; it must be text",
            State.RED,
        )
    elif column == "source_url" and found.type == "text" and (found.most_characters or LONGEST_TEXT) < LONGEST_TEXT:
        says = f"takes {found.most_characters} characters; contacts with a longer source_url are refused"
        return Line(f"Field {alias}", State.YELLOW, says, f"Let it take {LONGEST_TEXT}, in Mautic's Custom Fields.")
    else:
        return None
    to_do = f"Make another field for it, and name that in MAUTIC_FIELD_{column.upper()}."
    return Line(f"Field {alias}", state, says, to_do)
