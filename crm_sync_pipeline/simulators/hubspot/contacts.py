"""HubSpot's reads and writes of one contact.

Sources: https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide, and the recordings that answers.py
names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from crm_sync_pipeline.simulators.hubspot.answers import (
    NO_NAME,
    NOT_FOUND,
    NOT_UNIQUE,
    Problem,
    Refused,
    already_exists,
    invalid_value,
    invalid_values,
)
from crm_sync_pipeline.simulators.hubspot.config import HubspotConfig
from crm_sync_pipeline.simulators.hubspot.properties import STAGES, bad_address, is_address, read_values
from crm_sync_pipeline.simulators.hubspot.state import Account, HubspotContact

SHOWN_BY_DEFAULT = ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname")
AFTER_A_WRITE = ("createdate", "email", "hs_object_id", "lastmodifieddate")


class Contacts:
    """What can be done to one contact of an account. `Refused` where HubSpot would not do it."""

    def __init__(self, account: Account, config: HubspotConfig) -> None:
        self._account = account
        self._config = config

    def find(self, identifier: str, id_property: str | None) -> HubspotContact:
        """Find whom a path or a row names: by id, or by `email`."""
        if id_property == "email":
            contact = self._account.owner(identifier)
        elif id_property in (None, "hs_object_id"):
            contact = self._account.contacts.get(identifier)
        else:
            raise Refused(NOT_UNIQUE)
        if contact is None:
            raise Refused(NOT_FOUND)
        return contact

    def create(self, sent: object, *, strict: bool) -> HubspotContact:
        """Make a contact. `strict`: as a version does that enforces an administrator's rules."""
        values = read_values(sent, self._account.properties)
        if not any(values.get(name) for name in ("email", "firstname", "lastname")):
            raise Refused(NO_NAME)
        self._refuse_taken(values, None)
        if strict and (lacking := [name for name in self._config.required if not values.get(name)]):
            # Announced for 2026-09; the body is not documented, so the code is invented.
            raise Refused(
                invalid_values([invalid_value(name, "REQUIRED_FIELD", f"{name} is required") for name in lacking])
            )
        moment = self._account.now()
        contact_id = self._account.next_id()
        blank = HubspotContact(
            contact_id, {"hs_object_id": contact_id, "createdate": shown_time(moment)}, moment, moment
        )
        return self._save(blank, values)

    def update(self, contact: HubspotContact, sent: object) -> HubspotContact:
        """Change what is named, and leave the rest."""
        values = read_values(sent, self._account.properties)
        self._refuse_taken(values, contact)
        return self._save(contact, values)

    def upsert(self, address: str, sent: object, *, strict: bool) -> tuple[HubspotContact, bool]:
        """Update whoever has the address, or create somebody with it; whether it is a new contact."""
        if not is_address(address):
            raise bad_address(address)
        contact = self._account.owner(address)
        if contact is None:
            named = {"email": address, **sent} if isinstance(sent, dict) else sent
            return self.create(named, strict=strict), True
        if contact.email != address.strip().lower() and self._config.secondary_address == "conflict":
            raise Refused(self._conflict(contact))
        return self.update(contact, sent), False

    def erase(self, identifier: str, id_property: str | None) -> None:
        """Delete for good; the addresses may not come back. An address that nobody has is remembered all the same."""
        try:
            contact = self.find(identifier, id_property)
        except Refused:
            if id_property != "email":
                raise
            self._account.erased.add(identifier.strip().lower())
            return
        self._account.erased.update(contact.addresses())
        self._account.delete(contact)

    def shown(self, contact: HubspotContact, names: Sequence[str] = SHOWN_BY_DEFAULT) -> dict[str, Any]:
        """Show a contact with the properties that were asked for; one without a value is null."""
        always = ("createdate", "hs_object_id", "lastmodifieddate")
        wanted = sorted(name for name in {*names, *always} if name in self._account.properties)
        return {
            "id": contact.id,
            "properties": {name: contact.properties.get(name) for name in wanted},
            "createdAt": shown_time(contact.created_at),
            "updatedAt": shown_time(contact.updated_at),
            "archived": False,
            "url": f"https://app.hubspot.com/contacts/{self._config.portal_id}/record/0-1/{contact.id}",
        }

    def shown_after_write(self, contact: HubspotContact, sent: Iterable[str]) -> dict[str, Any]:
        """Show a contact as the answer to a write: what was sent, the address, and what HubSpot keeps itself."""
        return self.shown(contact, [*AFTER_A_WRITE, *sent])

    def _refuse_taken(self, values: Mapping[str, str], contact: HubspotContact | None) -> None:
        for address in (values.get("email", ""), *values.get("hs_additional_emails", "").split(";")):
            if address in self._account.erased:
                # Documented that such an address can't be added again; the sentence is invented.
                message = f"Email address {address} was permanently deleted and can't be added again"
                raise Refused(Problem(400, "VALIDATION_ERROR", message))
            owner = self._account.owner(address) if address else None
            if owner is not None and (contact is None or owner.id != contact.id):
                raise Refused(self._conflict(owner))
        for name, value in values.items():
            found = self._account.properties[name]
            if found.unique and name != "email" and value:
                for other in self._account.contacts.values():
                    if other.properties.get(name) == value and (contact is None or other.id != contact.id):
                        raise Refused(self._conflict(other))

    def _conflict(self, owner: HubspotContact) -> Problem:
        return already_exists(owner.id if self._config.names_existing else None)

    def _save(self, contact: HubspotContact, values: Mapping[str, str]) -> HubspotContact:
        moment = self._account.now()
        merged = {**contact.properties, **values, "lastmodifieddate": shown_time(moment)}
        stage = _further(contact.properties.get("lifecyclestage"), values.get("lifecyclestage"))
        if stage is not None:
            merged["lifecyclestage"] = stage
        kept = {name: value for name, value in merged.items() if value != ""}
        saved = replace(contact, properties=kept, updated_at=moment)
        self._account.save(saved)
        return saved


def _further(before: str | None, sent: str | None) -> str | None:
    """Choose between two lifecycle stages: they only move forward unless they are cleared first. Seen once."""
    if not sent or not before:
        return sent
    return max(before, sent, key=STAGES.index)


def shown_time(moment: datetime) -> str:
    """Write a time as HubSpot does: UTC, milliseconds, Z."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
