"""The attributes that we send to Brevo, and whether those of an account take their values.

https://developers.brevo.com/reference/get-attributes
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_sync_pipeline.domain.check import Line, State

CARRIED_BY: Mapping[str, tuple[str, ...]] = {
    "name": ("FIRSTNAME", "LASTNAME"),
    "phone_number": ("SMS",),
    "domain_id": ("DOMAIN_ID",),
    "page_id": ("PAGE_ID",),
    "email_type": ("EMAIL_TYPE",),
    "source_url": ("SOURCE_URL",),
    "has_gmail": ("HAS_GMAIL",),
}
"""The attributes that each optional column of the contacts table fills."""

SENT_TYPES: Mapping[str, str] = {
    "FIRSTNAME": "text",
    "LASTNAME": "text",
    "SMS": "text",
    "DOMAIN_ID": "text",
    "PAGE_ID": "text",
    "EMAIL_TYPE": "text",
    "SOURCE_URL": "text",
    "HAS_GMAIL": "boolean",
}
"""Every attribute that `Brevo.attributes` may send, and the type that takes its value."""

OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "FIRSTNAME": ("PRENOM", "VORNAME", "NOMBRE", "NOME", "VOORNAAM", "FIRST_NAME", "FNAME"),
    "LASTNAME": (
        *("NOM", "NACHNAME", "APELLIDOS", "APELLIDO", "COGNOME", "SOBRENOME", "ACHTERNAAM"),
        *("LAST_NAME", "LNAME", "SURNAME"),
    ),
}
"""What accounts in other languages, and imports from other products, have instead. French accounts have PRENOM and
NOM (github.com/mailin-api/mailin-api-java/issues/5); which other languages have names of their own is unverified.
"""

OF_ANY_TYPE = frozenset({"SMS"})
"""Brevo's own, in every account; whatever type it shows, it takes a number."""

_CREATE = "`crm-sync check --create-fields` makes them; in the UI, check_destination does."


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of the account. One of category `category`, a choice of labels, has no type."""

    category: str
    type: str


def attribute_lines(known: Mapping[str, Attribute]) -> list[Line]:
    """What the account's attributes, by their names in upper case, mean for what we send."""
    lines = []
    if missing := missing_in(known):
        says = f"Brevo lacks {', '.join(missing)}, and drops what is sent for {'it' if len(missing) == 1 else 'them'}"
        lines.append(Line("Attributes", State.RED, says, _CREATE))
    lines += _named_otherwise_lines(named_otherwise(known))
    lines += [line for name in SENT_TYPES if name in known and (line := _misfit(name, known[name]))]
    return lines or [Line("Attributes", State.GREEN, f"all {len(SENT_TYPES)} that are sent exist, with a fitting type")]


def _misfit(name: str, found: Attribute) -> Line | None:
    wanted = SENT_TYPES[name]
    if name in OF_ANY_TYPE or found == Attribute("normal", wanted):
        return None
    if found.category == "category" and wanted == "text":
        says = "is a choice of labels at Brevo, which drops every other value"
        return Line(f"Attribute {name}", State.YELLOW, says, "See that its labels are all the values that you have.")
    kind = f"of type {found.type}" if found.category == "normal" else f"a {found.category} attribute"
    says = f"is {kind} at Brevo, which drops what is sent for it; it must be a normal one of type {wanted}"
    to_do = "Delete it in Brevo's contact settings, with what it holds, then `crm-sync check --create-fields`."
    return Line(f"Attribute {name}", State.RED, says, to_do)


def missing_in(known: Mapping[str, Attribute]) -> list[str]:
    """The names that we send and the account lacks, without those that it has under another name."""
    otherwise = named_otherwise(known)
    return [name for name in SENT_TYPES if name not in known and name not in otherwise]


def named_otherwise(known: Mapping[str, Attribute]) -> dict[str, str]:
    """The names that we send and the account lacks, each with the attribute that holds the same there."""
    found = {}
    for name, others in OTHER_NAMES.items():
        other = next((each for each in others if known.get(each) == Attribute("normal", "text")), None)
        if name not in known and other:
            found[name] = other
    return found


def _named_otherwise_lines(otherwise: Mapping[str, str]) -> list[Line]:
    if not otherwise:
        return []
    ours, theirs = " and ".join(otherwise), " and ".join(otherwise.values())
    says = f"the account has {theirs}, not {ours}; Brevo drops what is sent for {ours}"
    to_do = (
        f"Nothing, if you do not need it there. Otherwise create {ours} (normal, type text) in Brevo's contact "
        f"settings, and use that in your templates; {theirs} will keep what is there and get nothing new. "
        "--create-fields leaves this to you."
    )
    return [Line("Names", State.YELLOW, says, to_do)]


def known_in(data: Mapping[str, Any]) -> dict[str, Attribute] | None:
    """The attributes in an answer; None where it holds no list of them."""
    rows = data.get("attributes")
    if not isinstance(rows, list):
        return None
    return {
        str(row.get("name")).upper(): Attribute(str(row.get("category") or ""), str(row.get("type") or ""))
        for row in rows
        if isinstance(row, dict)
    }
