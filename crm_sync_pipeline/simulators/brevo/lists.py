"""Brevo's lists, folders and attributes. Source: https://developers.brevo.com/reference/get-lists and neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from crm_sync_pipeline.simulators.brevo.answers import (
    ATTRIBUTE_EXISTS,
    NO_FOLDER,
    NO_LIST,
    NOTHING_ADDED,
    Refused,
    error,
    invalid,
)
from crm_sync_pipeline.simulators.brevo.config import ATTRIBUTE_TYPES
from crm_sync_pipeline.simulators.brevo.reads import (
    Query,
    page,
    selected,
    shown_attribute,
    shown_contact,
    shown_list,
    shown_time,
)
from crm_sync_pipeline.simulators.brevo.state import Account, Attribute, BrevoContact, ContactList
from crm_sync_pipeline.simulators.brevo.values import read_ids
from crm_sync_pipeline.simulators.exchange import Answer, json_answer

CATEGORIES = ("normal", "transactional", "category", "calculated", "global")
MOST_PER_CALL = 150


def all_lists(account: Account, query: Query) -> Answer:
    """Answer GET /v3/contacts/lists."""
    shown = [shown_list(one) for one in page(tuple(account.lists.values()), query, default=10, most=50)]
    return json_answer(200, {"count": len(account.lists), "lists": shown})


def create_list(account: Account, body: Mapping[str, Any]) -> Answer:
    """Answer POST /v3/contacts/lists: 201 with the id. `Refused` without a name or for an unknown folder."""
    return json_answer(201, {"id": new_list(account, body.get("name"), body.get("folderId")).id})


def new_list(account: Account, name: object, folder_id: object) -> ContactList:
    """Make a list of what a body says, here or in an import."""
    if not isinstance(name, str) or not name:
        raise Refused(error(400, "missing_parameter", "List name is missing"))  # invented
    if folder_id is None:
        raise Refused(error(400, "missing_parameter", "Folder ID is missing"))  # invented
    if not isinstance(folder_id, int) or folder_id not in account.folders:
        raise Refused(NO_FOLDER)
    return account.add_list(name, folder_id)


def one_list(account: Account, list_id: int) -> Answer:
    """Answer GET /v3/contacts/lists/{id}."""
    found = _list(account, list_id)
    members = account.members(list_id)
    blocked = sum(contact.email_blacklisted for contact in members)
    shown = shown_list(found, len(members) - blocked, blocked)
    return json_answer(200, {**shown, "createdAt": shown_time(found.created_at), "dynamicList": False})


def list_contacts(account: Account, list_id: int, query: Query) -> Answer:
    """Answer GET /v3/contacts/lists/{id}/contacts."""
    _list(account, list_id)
    members = selected(account.members(list_id), query)
    shown = [shown_contact(contact) for contact in page(members, query, default=50, most=500)]
    return json_answer(200, {"contacts": shown, "count": len(members)})


def add_to_list(account: Account, list_id: int, body: Mapping[str, Any]) -> Answer:
    """Answer POST /v3/contacts/lists/{id}/contacts/add: 201 with who was added and who was not.

    `Refused` with 400 when nobody was: a repeat of a call that worked is an error.
    """
    _list(account, list_id)
    return _move(account, _named(account, body), list_id, joins=True)


def remove_from_list(account: Account, list_id: int, body: Mapping[str, Any]) -> Answer:
    """Answer POST /v3/contacts/lists/{id}/contacts/remove. With "all" it empties the list and says how many went."""
    _list(account, list_id)
    if body.get("all") is True:
        members = account.members(list_id)
        for contact in members:
            account.save(_left(account, contact, list_id))
        # Brevo does this in a process of its own, whose id stands beside the total; here it is done at once.
        return json_answer(201, {"contacts": {"total": len(members)}})
    return _move(account, _named(account, body), list_id, joins=False)


def _move(
    account: Account,
    named: Sequence[tuple[Any, BrevoContact | None]],
    list_id: int,
    *,
    joins: bool,
) -> Answer:
    success, failure = [], []
    for name, contact in named:
        if contact is None or (list_id in contact.list_ids) == joins:
            failure.append(name)
            continue
        moved = replace(contact, list_ids=(*contact.list_ids, list_id), modified_at=account.now())
        account.save(moved if joins else _left(account, contact, list_id))
        success.append(name)
    if not success:
        raise Refused(NOTHING_ADDED)
    return json_answer(201, {"contacts": {"success": success, "failure": failure}})


def _left(account: Account, contact: BrevoContact, list_id: int) -> BrevoContact:
    return replace(contact, list_ids=tuple(i for i in contact.list_ids if i != list_id), modified_at=account.now())


def _named(account: Account, body: Mapping[str, Any]) -> Sequence[tuple[Any, BrevoContact | None]]:
    given = [name for name in ("emails", "ids", "extIds") if name in body]
    if len(given) != 1:
        raise invalid("Pass exactly one of emails, ids, extIds")  # invented
    names = body[given[0]]
    if not isinstance(names, list) or not 1 <= len(names) <= MOST_PER_CALL:
        raise invalid(f"{given[0]} should be an array of 1 to {MOST_PER_CALL} items")  # invented
    if given[0] == "ids":
        return [(number, account.contacts.get(number)) for number in read_ids(body, "ids")]
    if not all(isinstance(name, str) for name in names):
        raise invalid(f"{given[0]} should be an array of strings")  # invented
    if given[0] == "extIds":
        return [(name, account.owner("EXT_ID", name)) for name in names]
    return [(name, account.owner("email", name.strip().lower())) for name in names]


def _list(account: Account, list_id: int) -> ContactList:
    if list_id not in account.lists:
        raise Refused(NO_LIST)
    return account.lists[list_id]


def all_folders(account: Account, query: Query) -> Answer:
    """Answer GET /v3/contacts/folders."""
    shown = [
        {"id": folder_id, "name": name, "totalBlacklisted": 0, "totalSubscribers": 0, "uniqueSubscribers": 0}
        for folder_id, name in page(tuple(account.folders.items()), query, default=10, most=50)
    ]
    return json_answer(200, {"count": len(account.folders), "folders": shown})


def create_folder(account: Account, body: Mapping[str, Any]) -> Answer:
    """Answer POST /v3/contacts/folders: 201 with the id."""
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise Refused(error(400, "missing_parameter", "Folder name is missing"))  # invented
    return json_answer(201, {"id": account.add_folder(name)})


def all_attributes(account: Account) -> Answer:
    """Answer GET /v3/contacts/attributes."""
    return json_answer(200, {"attributes": [shown_attribute(one) for one in account.attributes.values()]})


def create_attribute(account: Account, category: str, name: str, body: Mapping[str, Any]) -> Answer:
    """Answer POST /v3/contacts/attributes/{category}/{name}: 201 without a body. `Refused` when it exists."""
    if category not in CATEGORIES:
        raise invalid("Invalid attribute category")  # invented
    if name.upper() in account.attributes:
        raise Refused(ATTRIBUTE_EXISTS)
    kind = body.get("type")
    if category in ("normal", "transactional") and kind not in ATTRIBUTE_TYPES:
        raise invalid("Invalid attribute type")  # invented
    options = _options(body)
    account.attributes[name.upper()] = Attribute(name.upper(), category, kind, options)
    return Answer(201)


def _options(body: Mapping[str, Any]) -> tuple[tuple[int, str], ...]:
    labels = body.get("multiCategoryOptions") or []
    enumeration = body.get("enumeration") or []
    try:
        return (*enumerate(map(str, labels), 1), *((int(one["value"]), str(one["label"])) for one in enumeration))
    except (TypeError, KeyError, ValueError):
        raise invalid("Invalid enumeration") from None  # invented
