"""Brevo's writes to one contact.

Sources: https://developers.brevo.com/reference/create-contact, and the recordings that answers.py names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from crm_sync_pipeline.simulators.brevo.answers import NO_CONTENT, NO_IDENTIFIER, Refused, error, invalid, unknown_list
from crm_sync_pipeline.simulators.brevo.config import BrevoConfig
from crm_sync_pipeline.simulators.brevo.state import IDENTIFYING_ATTRIBUTES, Account, BrevoContact
from crm_sync_pipeline.simulators.brevo.values import read_attributes, read_email, read_flag, read_ids
from crm_sync_pipeline.simulators.exchange import Answer, json_answer

Identifiers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Change:
    """What a body asks for, its values checked. None or empty: not sent, so left as it is."""

    email: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    link: tuple[int, ...] = ()
    unlink: tuple[int, ...] = ()
    email_blacklisted: bool | None = None
    sms_blacklisted: bool | None = None

    def identifiers(self) -> Identifiers:
        """Name the identifiers that it sets: ("email", address), ("SMS", digits) ..."""
        named = [(name, self.attributes[name]) for name in IDENTIFYING_ATTRIBUTES if self.attributes.get(name)]
        return [("email", self.email), *named] if self.email is not None else named


def upsert(account: Account, config: BrevoConfig, body: Mapping[str, Any]) -> Answer:
    """Answer POST /v3/contacts: 201 with the id of a new contact, 204 after an update. `Refused` otherwise."""
    email = None if body.get("email") is None else read_email(body["email"])
    change = replace(read_change(account, config, body), email=email)
    identifiers = change.identifiers()
    if not identifiers:
        raise Refused(NO_IDENTIFIER)
    # The address decides whom it is about; somebody else's number or ext_id is then a clash.
    deciding = identifiers[:1] if email is not None else identifiers
    contact = next((owner for kind, value in deciding if (owner := account.owner(kind, value))), None)
    if contact is None or not read_flag(body, "updateEnabled", default=False):
        _refuse_clash(account, config, identifiers, None)
        contact_id = create(account, change).id
        return json_answer(201, {"id": None if config.tells_no_id else contact_id})
    _refuse_clash(account, config, identifiers, contact)
    account.save(changed(account, contact, change))
    return NO_CONTENT


def update(account: Account, config: BrevoConfig, contact: BrevoContact, body: Mapping[str, Any]) -> Answer:
    """Answer PUT /v3/contacts/{identifier}: 204. `Refused` otherwise."""
    change = read_change(account, config, body)
    new_email = _new_email(account, contact, body)
    if new_email is not None:
        # An address that changes takes its blocklisting with it. Source: the SDK's docstring of update_contact.
        contact = replace(contact, email=new_email, email_blacklisted=False)
    _refuse_clash(account, config, change.identifiers(), contact)
    account.save(changed(account, contact, change))
    return NO_CONTENT


def read_change(account: Account, config: BrevoConfig, body: Mapping[str, Any]) -> Change:
    """Check everything of a body but its address. `Refused` for what Brevo would not take."""
    sent = body.get("attributes")
    attributes = (
        {}
        if sent is None
        else read_attributes(sent, account.attributes, refuse_unknown=config.refuse_unknown_attributes)
    )
    ext_id = body.get("ext_id")
    if ext_id is not None:
        if not isinstance(ext_id, str):
            raise invalid("ext_id should be a string")  # invented
        attributes["EXT_ID"] = ext_id
    senders = body.get("smtpBlacklistSender")
    if senders is not None:
        try:
            for sender in senders:
                read_email(sender)
        except (TypeError, Refused):
            raise invalid("Invalid smtpBlacklistSender format") from None  # recorded once
    link, unlink = read_ids(body, "listIds"), read_ids(body, "unlinkListIds")
    if any(list_id not in account.lists for list_id in link + unlink):
        raise Refused(unknown_list(config.unknown_list_is_404))
    return Change(
        attributes=attributes,
        link=link,
        unlink=unlink,
        email_blacklisted=read_flag(body, "emailBlacklisted"),
        sms_blacklisted=read_flag(body, "smsBlacklisted"),
    )


def create(account: Account, change: Change) -> BrevoContact:
    """Make a contact of a change that names somebody new."""
    email = change.email
    if email is None and (digits := change.attributes.get("SMS")):
        synthetic = f"{digits}@mailin-sms.com"  # from an example in Brevo's documents
        email = synthetic if account.owner("email", synthetic) is None else None
    blank = BrevoContact(account.next_contact_id(), email, {}, (), False, False, account.now(), account.now())
    contact = changed(account, blank, change)
    account.save(contact)
    return contact


def changed(account: Account, contact: BrevoContact, change: Change) -> BrevoContact:
    """Apply a change: attributes and lists are added to, the rest is left as it is unless it was sent."""
    # An empty identifier is taken away and not stored: it would be nobody's, and everybody's. Unverified.
    erased = {name for name in IDENTIFYING_ATTRIBUTES if change.attributes.get(name) == ""}
    attributes = {**contact.attributes, **change.attributes}
    if erased:
        attributes = {name: value for name, value in attributes.items() if name not in erased}
    list_ids = contact.list_ids
    if change.link or change.unlink:
        list_ids = tuple(i for i in dict.fromkeys(list_ids + change.link) if i not in change.unlink)
    blocked, sms_blocked = change.email_blacklisted, change.sms_blacklisted
    return BrevoContact(
        id=contact.id,
        email=contact.email,
        attributes=attributes,
        list_ids=list_ids,
        email_blacklisted=contact.email_blacklisted if blocked is None else blocked,
        sms_blacklisted=contact.sms_blacklisted if sms_blocked is None else sms_blocked,
        created_at=contact.created_at,
        modified_at=account.now(),
    )


def _new_email(account: Account, contact: BrevoContact, body: Mapping[str, Any]) -> str | None:
    sent = next((value for name, value in (body.get("attributes") or {}).items() if name.upper() == "EMAIL"), None)
    if sent is None:
        return None
    email = read_email(sent)
    if email == contact.email:
        # https://github.com/sendinblue/APIv3-php-library/issues/144, 149, 152; whether it still does is unverified.
        raise invalid("Contact already exist")
    if account.owner("email", email) is not None:
        # The code was duplicate_parameter until about May 2026: https://github.com/pass-culture/pass-culture-main/pull/22628
        message = "Unable to update contact, email is already associated with another Contact"
        raise Refused(error(400, "invalid_parameter", message, duplicate_identifiers=["email"]))
    return email


def _refuse_clash(
    account: Account, config: BrevoConfig, identifiers: Identifiers, contact: BrevoContact | None
) -> None:
    """Refuse identifiers that somebody else has; anybody, when the contact is to be new."""
    own_id = None if contact is None else contact.id
    taken = [kind for kind, value in identifiers if (owner := account.owner(kind, value)) and owner.id != own_id]
    if not taken:
        return
    if config.old_duplicate_wording and contact is None:
        raise Refused(error(400, "duplicate_parameter", "Contact already exist"))
    doing = "create" if contact is None else "update"
    verb = "is" if len(taken) == 1 else "are"
    message = f"Unable to {doing} contact, {' or '.join(taken)} {verb} already associated with another Contact"
    raise Refused(error(400, "duplicate_parameter", message, duplicate_identifiers=taken))
