"""The second phase: rows that were delivered are edited, selected again, and go again."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from crm_sync_pipeline_tests.dirty.generator import Dirty, Row
from crm_sync_pipeline_tests.dirty.run import Evidence

_NEW_ADDRESSES: Mapping[str, tuple[str, str]] = {
    "plain": ("moved{}@example.com", "moved{}@example.com"),
    "dirty": ("\u200bMOVED{}@EXAMPLE.ORG\r", "moved{}@example.org"),
    "international": ("moved{}@müller.example", "moved{}@xn--mller-kva.example"),
}
_NO_NUMBER: Mapping[str, str | None] = {
    "number, NULL": None,
    "number, empty": "",
    "number, blanks": " \t",
    "number, zero-width space": "\u200b",
}


def with_new_addresses(dirty: Dirty, seed: int, each: int = 3) -> list[Row]:
    """Some rows with a number, some without, some whose address changes in its form alone, all who are blocklisted.

    Who opted out under the old address is not moved and not created anew: the row ends in Error.
    """
    dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
    with_number, without = (_own(dirty, dice, has_number) for has_number in (True, False))
    changed = []
    for kind, (text, sent) in _NEW_ADDRESSES.items():
        for rows in (with_number, without):
            for row in _some(rows, each):
                moved = replace(row.expected, address=sent.format(row.number))
                changed.append(replace(row, kind=f"address, {kind}", email=text.format(row.number), expected=moved))
    changed += [
        replace(row, kind="address, its form alone", email=f" {str(row.expected.address).upper()}\r")
        for row in _some(with_number, each)
    ]
    blocklisted = {stranger.address for stranger in dirty.strangers if stranger.is_blocklisted}
    for row in dirty.rows:
        if row.expected.address in blocklisted:
            ended = replace(row.expected, state="Error")
            email = f"moved{row.number}@example.com"
            changed.append(replace(row, kind="address, of one who opted out", email=email, expected=ended))
    return changed


def emptied(dirty: Dirty, seed: int, each: int = 3) -> list[Row]:
    """Some rows lose their number, their last name, or all of it."""
    rows = _own(dirty, random.Random(seed), has_number=True)  # noqa: S311  # repeatable on purpose
    changed: list[Row] = []
    for kind, text in _NO_NUMBER.items():
        changed += [replace(_without(row, "SMS"), kind=kind, phone_number=text) for row in _some(rows, each)]
    for row in _some(rows, each):
        first = row.expected.attributes["FIRSTNAME"]
        changed.append(replace(_without(row, "LASTNAME"), kind="last name", name=first))
    nameless = [_without(row, "FIRSTNAME", "LASTNAME") for row in _some(rows, 2 * each)]
    changed += [replace(row, kind="name", name=None) for row in nameless[::2]]
    changed += [
        replace(_without(row, "SMS"), kind="name and number", name=" ", phone_number=None) for row in nameless[1::2]
    ]
    return changed


def wrong_after(before: Evidence, changed: Sequence[Row], after: Evidence) -> Iterator[str]:
    """Each changed row has exactly one contact at Brevo, with the row's own data and nothing that it has no more."""
    stored: dict[str, dict[str, Mapping[str, Any]]] = {}
    for address, contact in after.stored.items():
        stored.setdefault(str(contact.attributes.get("SOURCE_URL")), {})[address] = contact.attributes
    for row in changed:
        expected = row.expected
        attributes = {
            name: value.lstrip("+") if name == "SMS" else value for name, value in expected.attributes.items()
        }
        if stored.get(row.source_url) != {expected.address: attributes}:
            yield f"{row.kind}: Brevo holds {stored.get(row.source_url)}, not {expected.address}: {attributes}"
        if after.states[row.id][0] != expected.state:
            yield f"{row.kind}: {after.states[row.id]}, not {expected.state}"
        if expected.state == "Error" and not after.stored[str(expected.address)].is_blocklisted:
            yield f"{row.kind}: is no longer blocklisted"
    if len(after.stored) != len(before.stored):
        yield f"Brevo holds {len(after.stored)} contacts, not {len(before.stored)} as before"


def _own(dirty: Dirty, dice: random.Random, has_number: bool) -> list[Row]:
    """Rows that were delivered, with two names, whose address and number are nobody else's."""
    having = Counter(row.expected.address for row in dirty.rows)
    having.update(stranger.address for stranger in dirty.strangers)
    found = [
        row
        for row in dirty.rows
        if row.expected.state == "Complete"
        and not row.expected.may_lose
        and having[row.expected.address] == 1
        and "LASTNAME" in row.expected.attributes
        and ("SMS" in row.expected.attributes) == has_number
    ]
    dice.shuffle(found)
    return found


def _some(rows: list[Row], count: int) -> list[Row]:
    """Take some rows out."""
    taken, rows[:] = rows[:count], rows[count:]
    return taken


def _without(row: Row, *names: str) -> Row:
    left = {name: value for name, value in row.expected.attributes.items() if name not in names}
    return replace(row, expected=replace(row.expected, attributes=left))
