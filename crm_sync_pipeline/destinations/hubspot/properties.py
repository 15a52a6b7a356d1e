"""The properties that we send to HubSpot, and whether those of an account take their values.

https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide (November 2026)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_sync_pipeline.domain.check import Line, State
from crm_sync_pipeline.domain.contact import Contact

CARRIED_BY: Mapping[str, tuple[str, ...]] = {
    "name": ("firstname", "lastname"),
    "phone_number": ("phone",),
    "domain_id": ("scrapersky_domain_id",),
    "page_id": ("scrapersky_page_id",),
}
"""The properties that each optional column of the contacts table fills, unless settings name others."""

TEXT = ("string",)
TEXT_OR_DAY = ("string", "date")


@dataclass(frozen=True, slots=True)
class Names:
    """The custom properties, by what they hold."""

    domain_id: str
    page_id: str
    sync_date: str

    @property
    def custom(self) -> tuple[str, ...]:
        """Those that an account has not by itself."""
        return self.domain_id, self.page_id, self.sync_date

    @property
    def sent(self) -> Mapping[str, Sequence[str]]:
        """Every property that may be sent, with the types that take its value."""
        own = dict.fromkeys(("firstname", "lastname", "phone"), TEXT)
        return {**own, self.domain_id: TEXT, self.page_id: TEXT, self.sync_date: TEXT_OR_DAY}

    def values(self, contact: Contact, day: str) -> dict[str, str]:
        """What is sent of a contact, beside its address; a property only with a value. `day` is YYYY-MM-DD.

        lifecyclestage and consent are never sent: the one is marketing's, the other the person's.
        """
        values = {
            "firstname": contact.first_name,
            "lastname": contact.last_name,
            "phone": (contact.phone_number or "").strip(),
            self.domain_id: contact.domain_id,
            self.page_id: contact.page_id,
            self.sync_date: day,
        }
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class Property:
    """A property of the account, as far as it matters for what is written to it."""

    type: str
    is_read_only: bool
    is_unique: bool


def known_in(data: Mapping[str, Any]) -> dict[str, Property] | None:
    """The properties in an answer; None where it holds no list of them."""
    rows = data.get("results")
    if not isinstance(rows, list):
        return None
    return {str(row.get("name")): _property(row) for row in rows if isinstance(row, dict)}


def _property(row: Mapping[str, Any]) -> Property:
    changes = row.get("modificationMetadata")
    is_read_only = row.get("calculated") is True or (isinstance(changes, dict) and changes.get("readOnlyValue") is True)
    return Property(str(row.get("type")), is_read_only, row.get("hasUniqueValue") is True)


def property_to_make(name: str, label: str) -> dict[str, str]:
    """The body that makes a property for a line of text."""
    return {
        "name": name,
        "label": label,
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
        "description": "Written by crm_sync_pipeline",
    }


def missing_in(known: Mapping[str, Property], names: Names) -> list[str]:
    """The custom properties that the account lacks."""
    return [name for name in names.custom if name not in known]


def property_lines(known: Mapping[str, Property], names: Names) -> list[Line]:
    """What the account's properties mean for what we send."""
    lines = []
    if missing := missing_in(known, names):
        says = f"HubSpot lacks {', '.join(missing)}, and refuses every contact that is sent with a value for it"
        to_do = "`crm-sync check --create-fields` makes them; in the UI, check_destination does."
        lines.append(Line("Properties", State.RED, says, to_do))
    lines += [line for name in names.sent if name in known and (line := _misfit(name, known[name], names))]
    return lines or [Line("Properties", State.GREEN, f"all {len(names.sent)} that are sent exist, with a fitting type")]


def _misfit(name: str, found: Property, names: Names) -> Line | None:
    other = f"Name another property in {_setting(name, names)}." if name in names.custom else "Change it in HubSpot."
    if found.is_read_only:
        return Line(f"Property {name}", State.RED, "can't be written: HubSpot refuses every contact with it", other)
    if found.type not in names.sent[name]:
        says = f"is of type {found.type}, and takes no text: HubSpot refuses contacts with it"
        return Line(f"Property {name}", State.RED, says, other)
    if found.is_unique and name in names.custom:
        says = "demands a value of its own for each contact, and many contacts have the same"
        return Line(f"Property {name}", State.RED, says, other)
    return None


def _setting(name: str, names: Names) -> str:
    return {
        names.domain_id: "HUBSPOT_CUSTOM_PROPERTY_DOMAIN_ID",
        names.page_id: "HUBSPOT_CUSTOM_PROPERTY_PAGE_ID",
        names.sync_date: "HUBSPOT_CUSTOM_PROPERTY_SYNC_DATE",
    }[name]


def rule_lines(data: object, names: Names) -> list[Line]:
    """A yellow line for each property that we send and that an administrator gave rules for its values.

    https://developers.hubspot.com/docs/api-reference/crm-property-validations-v3/guide
    """
    rows = data.get("results") if isinstance(data, dict) else None
    lines = []
    for row in rows if isinstance(rows, list) else ():
        name = row.get("propertyName") if isinstance(row, dict) else None
        rules = row.get("propertyValidationRules") if isinstance(row, dict) else None
        if name in names.sent and isinstance(rules, list) and rules:
            kinds = ", ".join(str(each.get("ruleType")) for each in rules if isinstance(each, dict))
            says = f"has rules for its values ({kinds}); HubSpot refuses a contact that breaks one"
            lines.append(Line(f"Property {name}", State.YELLOW, says, "See that your contacts keep them."))
    return lines
