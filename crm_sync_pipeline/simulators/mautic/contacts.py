"""Mautic's writes to contacts: who a row is about, what it changes, and what becomes of a whole batch.

Source: ApiBundle/Controller/CommonApiController.php and LeadBundle/Controller/Api/LeadApiController.php.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crm_sync_pipeline.simulators.exchange import Answer, json_answer
from crm_sync_pipeline.simulators.mautic.answers import FORBIDDEN, MISSING, NO_ACCESS, NOT_FOUND, Refused, as_php, error
from crm_sync_pipeline.simulators.mautic.config import MauticConfig, Switches
from crm_sync_pipeline.simulators.mautic.reads import shown_contact
from crm_sync_pipeline.simulators.mautic.state import Instance, MauticContact
from crm_sync_pipeline.simulators.mautic.values import address_in_lookups, is_blank, is_numeric_zero, read_values

Row = Mapping[str, Any]

MANUAL = 3
CONTACTABLE = 0


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row was refused. `details` are those of a form; what stands before the form has none, and a type."""

    code: int
    message: str
    details: Mapping[str, Sequence[str]] | None = None

    def in_batch(self) -> dict[str, Any]:
        """As it stands in `errors` of a batch."""
        if self.details is None:
            return {"message": self.message, "code": self.code, "type": "api"}
        return {"code": self.code, "message": self.message, "details": self.details, "type": None}

    def alone(self) -> Answer:
        """As it is answered to a request for one contact."""
        return error(self.code, self.message, self.details)


class Writes:
    """The writes to one instance's contacts."""

    def __init__(self, instance: Instance, config: MauticConfig, switches: Switches) -> None:
        self._instance = instance
        self._config = config
        self._switches = switches

    def create(self, row: Row) -> Answer:
        """POST contacts/new: 201 for a new contact, 200 for one that was found by its address and updated."""
        self.require("contacts:create")
        known = self._duplicate_of(row)
        saved = self._save(row, known, "POST", clears_missing=True)
        if isinstance(saved, RowError):
            return saved.alone()
        return json_answer(200 if known else 201, {"contact": shown_contact(self._instance, saved)})

    def edit(self, contact_id: int, row: Row, method: str) -> Answer:
        """PUT or PATCH contacts/{id}/edit: 200; a PUT of nobody creates (201), a PATCH of nobody is 404."""
        known = self._instance.contacts.get(contact_id)
        if known is None and method == "PATCH":
            raise Refused(MISSING)
        self.require("contacts:edit" if known else "contacts:create")
        saved = self._save(row, known, method, clears_missing=method == "PUT")
        if isinstance(saved, RowError):
            return saved.alone()
        return json_answer(200 if known else 201, {"contact": shown_contact(self._instance, saved)})

    def create_batch(self, rows: Sequence[Row]) -> Answer:
        """POST contacts/batch/new: 201 whatever the rows did. `contacts` has those that were saved, by their index."""
        self.require("contacts:create")
        contacts: dict[int, MauticContact] = {}
        errors: dict[int, RowError] = {}
        statuses: dict[int, int] = {}
        for index, row in enumerate(rows):
            known = self._duplicate_of(row)
            if known and "contacts:edit" in self._switches.forbidden:
                errors[index] = RowError(403, NO_ACCESS)
            else:
                saved = self._save(row, known, "PATCH" if known else "POST", clears_missing=not known)
                if isinstance(saved, RowError):
                    errors[index] = saved
                else:
                    contacts[index] = saved
            statuses[index] = errors[index].code if index in errors else 200 if known else 201
        return self._batch_answer(201, contacts, statuses, errors)

    def edit_batch(self, rows: Sequence[Row], method: str) -> Answer:
        """PUT or PATCH contacts/batch/edit: 200 whatever the rows did.

        `contacts` has, from the code, also those that were found and whose row was refused by the form.
        """
        found = {index: self._instance.contacts.get(_id_of(row)) for index, row in enumerate(rows)}
        contacts = {index: contact for index, contact in found.items() if contact}
        errors: dict[int, RowError] = {}
        statuses: dict[int, int] = {}
        for index, row in enumerate(rows):
            known = self._instance.contacts.get(_id_of(row))
            if known is None and method == "PATCH":
                errors[index] = RowError(404, NOT_FOUND)
            elif "contacts:edit" in self._switches.forbidden:
                errors[index] = RowError(403, NO_ACCESS)
            else:
                saved = self._save(row, known, method, clears_missing=method == "PUT")
                if isinstance(saved, RowError):
                    errors[index] = saved
                else:
                    contacts[index] = saved
            if index in errors and errors[index].details is None:
                contacts.pop(index, None)
            statuses[index] = errors[index].code if index in errors else 200 if known else 201
        return self._batch_answer(200, contacts, statuses, errors)

    def require(self, permission: str) -> None:
        """`Refused` with 403 where our user lacks it."""
        if permission in self._switches.forbidden:
            raise Refused(FORBIDDEN)

    def _batch_answer(
        self,
        status: int,
        contacts: Mapping[int, MauticContact],
        statuses: Mapping[int, int],
        errors: Mapping[int, RowError],
    ) -> Answer:
        shown = {index: shown_contact(self._instance, contact) for index, contact in contacts.items()}
        body: dict[str, Any] = {"contacts": as_php(shown), "statusCodes": as_php(statuses)}
        if errors:
            body["errors"] = as_php({index: each.in_batch() for index, each in errors.items()})
        return json_answer(status, body)

    def _duplicate_of(self, row: Row) -> MauticContact | None:
        """Whom a row is about: the oldest that has its address, or the value of another field that is unique."""
        email = row.get("email")
        found = [] if is_blank(email) else list(self._instance.with_address(address_in_lookups(email)))
        unique = [each.alias for each in self._instance.fields.values() if each.is_unique and row.get(each.alias)]
        if unique:
            every = self._instance.contacts.values()
            found += [each for each in every if any(each.fields.get(alias) == row[alias] for alias in unique)]
        return min(found, key=lambda contact: contact.id, default=None)

    def _save(
        self, row: Row, known: MauticContact | None, method: str, *, clears_missing: bool
    ) -> MauticContact | RowError:
        """Save a row, as a new contact or into a known one. Nothing is changed where the row is refused."""
        values, wrong = read_values(row, self._instance.fields)
        if wrong:
            message = ", ".join(f"{alias}: {' '.join(sentences)}" for alias, sentences in wrong.items())
            return RowError(400, message, wrong)
        if known is not None:
            known = self._with_duplicate(row, known)
        contact = known or self._blank()
        fields = {**contact.fields, **self._changed(contact, values, row, method, clears_missing)}
        saved = replace(
            contact,
            fields=fields,
            tags=_tags(contact.tags, row.get("tags")),
            do_not_contact=_do_not_contact(contact.do_not_contact, row.get("doNotContact")),
            modified_at=self._instance.now(),
        )
        self._instance.save(saved)
        return saved

    def _blank(self) -> MauticContact:
        now = self._instance.now()
        return MauticContact(self._instance.next_contact_id(), {}, (), frozenset(), {}, now, now)

    def _changed(
        self, contact: MauticContact, values: Mapping[str, Any], row: Row, method: str, clears_missing: bool
    ) -> dict[str, Any]:
        overwrites = method == "PUT" or bool(row.get("overwriteWithBlank"))
        if clears_missing and overwrites:  # a form that is submitted whole has a blank for each field that was not sent
            values = {**dict.fromkeys(contact.fields), **values}
        if method != "PUT" and self._config.ignores_zero:
            values = {alias: value for alias, value in values.items() if not is_numeric_zero(value)}
        return {alias: value for alias, value in values.items() if overwrites or not is_blank(value)}

    def _with_duplicate(self, row: Row, known: MauticContact) -> MauticContact:
        """The contact, merged with who has the address that it is to get. It stays itself, and the other one is gone.

        From the code: fields, tags and segments of the other go over, where a field is blank or older; that nobody
        may be contacted does not, and is gone with it.
        """
        other = self._duplicate_of(row)
        if other is None or other.id == known.id:
            return known
        newer, older = (other, known) if other.modified_at > known.modified_at else (known, other)
        filled = {alias: value for alias, value in newer.fields.items() if not is_blank(value)}
        merged = replace(
            known,
            fields={**older.fields, **filled},
            tags=tuple(dict.fromkeys(known.tags + other.tags)),
            segments=known.segments | other.segments,
        )
        self._instance.delete(other)
        self._instance.save(merged)
        return merged


def _id_of(row: Row) -> int:
    try:
        return int(row.get("id", 0))
    except (TypeError, ValueError):
        return 0


def _tags(held: tuple[str, ...], sent: Any) -> tuple[str, ...]:
    """Add each tag; "-x" takes x away. One text is several tags, with commas between them."""
    names = sent.split(",") if isinstance(sent, str) else sent if isinstance(sent, list) else ()
    tags = dict.fromkeys(held)
    for name in (str(each).strip() for each in names):
        if name.startswith("-"):
            tags.pop(name[1:], None)
        elif name:
            tags[name] = None
    return tuple(tags)


def _do_not_contact(held: Mapping[str, int], sent: Any) -> Mapping[str, int]:
    """Set or, with reason 0, lift. A row that does not speak of it leaves it as it is."""
    reasons = dict(held)
    for each in sent if isinstance(sent, list) else ():
        if isinstance(each, dict):
            channel, reason = str(each.get("channel") or "email"), int(each.get("reason", MANUAL))
            if reason == CONTACTABLE:
                reasons.pop(channel, None)
            else:
                reasons[channel] = reason
    return reasons
