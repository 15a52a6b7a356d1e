"""How Brevo shows contacts, lists and attributes, and finds the contact that a path names."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from crm_sync_pipeline.simulators.brevo.answers import NO_CONTACT, Refused, error, invalid
from crm_sync_pipeline.simulators.brevo.state import Account, Attribute, BrevoContact, ContactList
from crm_sync_pipeline.simulators.brevo.values import natural_number, read_phone

Query = Mapping[str, list[str]]
Item = TypeVar("Item")

_ATTRIBUTE_OF = {
    "ext_id": "EXT_ID",
    "phone_id": "SMS",
    "whatsapp_id": "WHATSAPP",
    "landline_number_id": "LANDLINE_NUMBER",
}
_FILTER = re.compile(r'equals\(\s*(\w+)\s*,\s*"?([^"]*?)"?\s*\)')


def shown_contact(contact: BrevoContact) -> dict[str, Any]:
    """Show a contact as in a list of contacts."""
    shown = {
        "id": contact.id,
        "email": contact.email,
        "emailBlacklisted": contact.email_blacklisted,
        "smsBlacklisted": contact.sms_blacklisted,
        "createdAt": shown_time(contact.created_at),
        "modifiedAt": shown_time(contact.modified_at),
        "listIds": list(contact.list_ids),
        "attributes": dict(contact.attributes),
    }
    if contact.email is None:
        del shown["email"]
    return shown


def shown_time(moment: datetime) -> str:
    """Write a time as accounts are said to show it (unverified): milliseconds and an offset."""
    return moment.isoformat(timespec="milliseconds")


def shown_list(contact_list: ContactList, subscribers: int = 0, blocked: int = 0) -> dict[str, Any]:
    """Show a list. Listings give 0 for all totals nowadays; a single list gives them."""
    return {
        "id": contact_list.id,
        "name": contact_list.name,
        "folderId": contact_list.folder_id,
        "totalBlacklisted": blocked,
        "totalSubscribers": subscribers,
        "uniqueSubscribers": subscribers + blocked,
    }


def shown_attribute(attribute: Attribute) -> dict[str, Any]:
    """Show an attribute. One of category `category` has no type."""
    shown: dict[str, Any] = {"name": attribute.name, "category": attribute.category}
    if attribute.category == "category":
        # valueStr since May 2026; value is 0 where it is not a number.
        shown["enumeration"] = [
            {"value": number, "valueStr": str(number), "label": label} for number, label in attribute.options
        ]
        return shown
    shown["type"] = attribute.type
    if attribute.type == "multiple-choice":
        shown["multiCategoryOptions"] = [label for _, label in attribute.options]
    return shown


def find_contact(account: Account, identifier: str, query: Query, *, also_phone: bool = False) -> BrevoContact:
    """Find whom a path names: an address or an id, or what identifierType says. `Refused` with 404 for nobody.

    Without identifierType a number is an id, and for GET (`also_phone`) else a phone number.
    """
    contact: BrevoContact | None = None
    kind = query.get("identifierType", [None])[0]
    if kind is None or kind in ("email_id", "contact_id"):
        if "@" in identifier and kind != "contact_id":
            contact = account.owner("email", identifier.strip().lower())
        elif kind != "email_id" and (contact_id := natural_number(identifier)) is not None:
            contact = account.contacts.get(contact_id)
        if contact is None and kind is None and also_phone and "@" not in identifier:
            contact = _by_phone(account, "SMS", identifier)
    elif kind == "ext_id":
        contact = account.owner("EXT_ID", identifier)
    elif kind in _ATTRIBUTE_OF:
        contact = _by_phone(account, _ATTRIBUTE_OF[kind], identifier)
    else:
        raise invalid("Invalid identifierType")  # invented
    if contact is None:
        raise Refused(NO_CONTACT)
    return contact


def _by_phone(account: Account, attribute: str, number: str) -> BrevoContact | None:
    try:
        return account.owner(attribute, read_phone(number))
    except Refused:
        return None


def page(items: Sequence[Item], query: Query, *, default: int, most: int) -> Sequence[Item]:
    """Cut a page out of items that stand oldest first: limit, offset, sort (newest first unless sort=asc)."""
    limit, offset = whole_number(query, "limit", default), whole_number(query, "offset", 0)
    if limit > most:
        raise Refused(error(400, "out_of_range", f"Limit exceeds max value {most}"))  # unverified
    sort = query.get("sort", ["desc"])[0]
    if sort not in ("asc", "desc"):
        raise invalid("sort should be asc or desc")  # invented
    ordered = items if sort == "asc" else items[::-1]
    return ordered[offset : offset + limit]


def whole_number(query: Query, name: str, default: int) -> int:
    """Read a number of 0 or more from the query. `Refused` for anything else (invented)."""
    number = natural_number(query.get(name, [str(default)])[0])
    if number is None:
        raise invalid(f"{name} should be a whole number")
    return number


def selected(contacts: Sequence[BrevoContact], query: Query) -> Sequence[BrevoContact]:
    """Pick contacts by ids, listIds, createdSince, modifiedSince and filter=equals(NAME,"value")."""
    tests: list[Callable[[BrevoContact], bool]] = []
    if ids := _numbers(query, "ids"):
        tests.append(lambda contact: contact.id in ids)
    if list_ids := _numbers(query, "listIds"):
        tests.append(lambda contact: any(list_id in list_ids for list_id in contact.list_ids))
    if created_since := _moment(query, "createdSince"):
        tests.append(lambda contact: contact.created_at >= created_since)
    if modified_since := _moment(query, "modifiedSince"):
        tests.append(lambda contact: contact.modified_at >= modified_since)
    if "filter" in query:
        matched = _FILTER.fullmatch(query["filter"][0])
        if matched is None:
            raise invalid("Invalid filter")  # invented
        name, value = matched[1].upper(), matched[2].lower()
        tests.append(lambda contact: str(contact.attributes.get(name, "")).lower() == value)
    return [contact for contact in contacts if all(test(contact) for test in tests)]


def _numbers(query: Query, name: str) -> frozenset[int]:
    # The SDK repeats the name; others send one value with commas, or name[].
    texts = [text for key in (name, f"{name}[]") for value in query.get(key, []) for text in value.split(",")]
    numbers = [natural_number(text) for text in texts]
    if None in numbers:
        raise invalid(f"{name} should be an array of integers")  # invented
    return frozenset(number for number in numbers if number is not None)


def _moment(query: Query, name: str) -> datetime | None:
    text = query.get(name, [None])[0]
    if text is None:
        return None
    try:
        # Python 3.10 reads no Z. A plus that was not escaped arrives as a blank.
        moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "+"))
    except ValueError:
        raise invalid(f"Invalid {name}") from None  # invented
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
