"""Brevo: POST /v3/contacts with updateEnabled.

https://developers.brevo.com/reference/create-contact
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

import httpx
from pydantic import Field

from crm_sync_pipeline.destinations.brevo.answers import is_brevos, is_the_contacts, refusal_reason
from crm_sync_pipeline.destinations.brevo.bulk_import import BrevoImport
from crm_sync_pipeline.destinations.brevo.changes import (
    Request,
    Step,
    first_request,
    next_request,
    read_look,
    read_move,
    still_there,
)
from crm_sync_pipeline.destinations.brevo.lists import refuses_list
from crm_sync_pipeline.destinations.brevo.readiness import (
    BrevoCheck,
    numbers_left_out,
    numbers_shared,
    why_number_left_out,
)
from crm_sync_pipeline.destinations.brevo.settings import BrevoSettings, key_hint
from crm_sync_pipeline.destinations.contract import Answer, Call, Record
from crm_sync_pipeline.destinations.destination import HttpDestination, NotReadyError, like
from crm_sync_pipeline.destinations.http import number_in
from crm_sync_pipeline.destinations.phone import international_number
from crm_sync_pipeline.destinations.statuses import PROXY_WANTS_LOGIN, REDIRECTS
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.check import Line
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered
from crm_sync_pipeline.domain.outcome import WITHOUT_ITS_NUMBER, DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.domain.pacing import clamp_pause
from crm_sync_pipeline.domain.sentences import sentences
from crm_sync_pipeline.settings import Settings

_AUTHORISED_IPS = "https://app.brevo.com/security/authorised_ips"

_NOT_BREVOS = (
    "This answer does not have the form of Brevo's refusals, so no contact is blamed. Look for a proxy or a firewall "
    "between this machine and Brevo"
)


class Brevo(HttpDestination):
    """Brevo's contacts API, v3.

    No consent field is ever sent: `emailBlacklisted: false` would subscribe a person again who opted out. The limits:
    https://developers.brevo.com/docs/api-limits
    """

    name: ClassVar[str] = "brevo"
    title: ClassVar[str] = "Brevo"
    access: ClassVar[str] = "Key"
    marks_address: ClassVar[bool] = False  # brevo_contact_id holds it
    secrets: ClassVar[Mapping[str, str]] = {"api_key": "BREVO_API_KEY"}

    base_url: str = like(BrevoSettings, "api_base_url")
    api_key: str = Field(default="", repr=False, description="A v3 key; env BREVO_API_KEY.")
    list_id: int | None = like(BrevoSettings, "list_id")
    sms_in_use: Literal["omit", "reject"] = like(BrevoSettings, "sms_in_use")
    on_address_change: Literal["move", "new"] = like(BrevoSettings, "on_address_change")
    phone_region: str | None = like(BrevoSettings, "phone_region")

    @classmethod
    def from_settings(cls, settings: Settings) -> "Brevo":
        """Brevo as the environment sets it."""
        brevo = settings.of(BrevoSettings)
        return cls(
            **cls.alike(brevo)
            | {
                "base_url": brevo.api_base_url,
                "bulk_threshold": brevo.bulk_threshold if brevo.bulk_import and brevo.list_id else None,
            }
        )

    @property
    def omits_sms_in_use(self) -> bool:
        """Whether a contact is delivered without a number that another contact has."""
        return self.sms_in_use == "omit"

    def require_ready(self) -> None:
        """NotReadyError without a key."""
        if not self.api_key:
            raise NotReadyError(
                "BREVO_API_KEY is not set. Nothing was sent, no contact was touched. Set it to a v3 key (Brevo shows "
                "them under SMTP & API) and start again."
            )

    def headers(self) -> dict[str, str]:
        """The headers that every request carries, with the key."""
        return {"api-key": self.api_key}

    def call_for(self, contact: Contact) -> Call:
        """`email`, `attributes`, `updateEnabled`, and `listIds` where a list is set; an attribute only with a value."""
        payload: dict[str, Any] = {
            "email": contact.address,
            "attributes": self.attributes(contact),
            "updateEnabled": True,
        }
        if self.list_id is not None:
            payload["listIds"] = [self.list_id]
        return Call("POST", "/contacts", payload)

    def attributes(self, contact: Contact) -> dict[str, str | bool]:
        """Brevo's attributes, in upper case; it drops those that the account does not have, without a word."""
        values: dict[str, str | bool | None] = {
            "FIRSTNAME": contact.first_name,
            "LASTNAME": contact.last_name,
            "SMS": international_number(contact.phone_number, self.phone_region),
            "DOMAIN_ID": contact.domain_id,
            "PAGE_ID": contact.page_id,
            "EMAIL_TYPE": contact.email_type,
            "SOURCE_URL": contact.source_url,
            "HAS_GMAIL": contact.has_gmail,
        }
        return {name: value for name, value in values.items() if value is not None and value != ""}

    def read_success(self, answer: Answer) -> Outcome | None:
        """201 with an id: created. 204 without a body: updated. There is no other.

        Brevo's SDKs document that the id may be null (CreateContactResponse in brevo-python); no recording shows it.
        """
        if answer.status == 204 and not answer.body.strip():
            return Synced(reason="updated")
        data = answer.data
        if answer.status == 201 and isinstance(data, dict) and "id" in data:
            contact_id = data["id"]
            if contact_id is None:
                return Synced(reason="created")
            if isinstance(contact_id, int) and not isinstance(contact_id, bool):
                return Synced(remote_id=str(contact_id), reason="created")
        return None

    def read_refusal(self, answer: Answer) -> Rejected | DestinationDown | Failed:
        """The contact's data was refused; a second contact with the same number or address has a reason of its own.

        A list that does not exist is our setting's fault, and would send every contact to Error. So would a proxy or a
        firewall that answers 400 in Brevo's place: what does not have the form of Brevo's own errors blames nobody.
        """
        if unknown_list := self._unknown_list(answer):
            return unknown_list
        said = self.error_text(answer)
        if is_brevos(answer.data):
            reason = refusal_reason(answer.data, answer.status)
            return Rejected(reason, said, may_be_ours=not is_the_contacts(reason))
        return Failed("unexpected_refusal", sentences(said, _NOT_BREVOS))

    def _unknown_list(self, answer: Answer) -> DestinationDown | None:
        if self.list_id is None or not refuses_list(answer.data):
            return None
        what = f"Check BREVO_LIST_ID; it is {self.list_id} now"
        return DestinationDown("unknown_list", sentences(self.error_text(answer), what))

    def read_setup_fault(self, answer: Answer) -> DestinationDown:
        """A status that no contact is to blame for. Three different 401s are told apart by their words alone."""
        if answer.status == 404 and (unknown_list := self._unknown_list(answer)):
            return unknown_list
        reason, *to_do = self._set_up(answer)
        return DestinationDown(reason, sentences(self.error_text(answer), *to_do))

    def _set_up(self, answer: Answer) -> tuple[str, ...]:
        """The reason, and what to do as sentences."""
        words = self.vendor_message(answer).lower()
        check_url = f"Check BREVO_API_BASE_URL; it is {self.base_url} now"
        if answer.status == 401 and "unrecognised ip" in words:
            is_told = _AUTHORISED_IPS in self.error_text(answer)
            return ("ip_not_allowed", "" if is_told else f"Allow this machine's address at {_AUTHORISED_IPS}")
        if answer.status == 401 and "not found in headers" in words:
            return ("no_api_key", "BREVO_API_KEY did not arrive; set a v3 key")
        if answer.status == 401:
            refused = "Brevo refused BREVO_API_KEY; set a valid v3 key"
            return ("wrong_api_key", refused, key_hint(self.api_key))
        if answer.status in REDIRECTS:
            return (
                f"http_{answer.status}",
                "Contacts are sent to no other address than the one that is set",
                check_url,
            )
        if answer.status == PROXY_WANTS_LOGIN:
            return (
                f"http_{answer.status}",
                "A proxy between this machine and Brevo wants a user and a password: check HTTPS_PROXY, HTTP_PROXY and "
                "ALL_PROXY (http://USER:PASSWORD@HOST:PORT), or name Brevo's host in NO_PROXY",
            )
        if answer.status in (404, 405):
            return (f"http_{answer.status}", check_url)
        return (f"http_{answer.status}", "Look at your account at https://app.brevo.com")

    def pause_after(self, answer: Answer) -> float:
        """Seconds to wait before the next request: every answer says how many are left; after the last, none goes.

        After a 429, `Retry-After`, which Brevo does not document, goes before `x-sib-ratelimit-reset`.
        """
        reset = number_in(answer.headers, "x-sib-ratelimit-reset")
        if answer.status == 429:
            asked = number_in(answer.headers, "retry-after")
            return clamp_pause(next((each for each in (asked, reset) if each is not None), 1.0))
        if number_in(answer.headers, "x-sib-ratelimit-remaining") == 0 and reset is not None:
            return clamp_pause(reset)
        return 0.0

    def request_id(self, answer: Answer) -> str | None:
        """The uuid in `sib-request-id`."""
        return answer.headers.get("sib-request-id")

    async def check(
        self, client: httpx.AsyncClient, *, create_fields: bool = False, clock: Callable[[], datetime]
    ) -> Sequence[Line]:
        """Ask Brevo about key, list and attributes: the lines of `crm-sync check`."""
        return await BrevoCheck(self, self.list_id, client, clock).lines(create_fields)

    def check_contacts(self, contacts: Sequence[Contact]) -> Sequence[Line]:
        """What to know of these contacts before they are sent: numbers left out, and numbers that several share."""
        shared = numbers_shared(contacts, self.phone_region, omits=self.omits_sms_in_use)
        return [*numbers_left_out(contacts, self.phone_region), *shared]

    def bulk(self) -> BrevoImport:
        """How Brevo imports many contacts at once."""
        return BrevoImport(self, self.list_id, omits_sms_in_use=self.omits_sms_in_use)

    def prepare(self, contact: Contact, before: Delivered = NEVER) -> Record | Attempt:
        """The first request of an attempt. Where the address has changed, it looks at the contact that Brevo has.

        Its owner may have opted out, and Brevo lifts that when an address changes.
        """
        prepared = super().prepare(contact, before)
        return (
            prepared
            if isinstance(prepared, Attempt)
            else first_request(prepared, moves=self.on_address_change == "move")
        )

    def next_request(self, prepared: Record, outcome: Outcome) -> Record | None:
        """What follows in the same attempt: a contact whose number belongs to another one at Brevo goes without it.

        People of one company often share a number, and at Brevo a number belongs to one contact.
        """
        if not isinstance(prepared, Request):
            return None
        return next_request(prepared, outcome, omits_sms_in_use=self.omits_sms_in_use)

    def read_for(self, prepared: Record, answer: Answer) -> Outcome:
        """What an answer means for the contact, by what the request was for: upsert, look or move."""
        own: Outcome | None = None
        if isinstance(prepared, Request) and prepared.step is Step.LOOK:
            own = read_look(answer, self.title, prepared.contact.address)
        elif isinstance(prepared, Request) and prepared.step is Step.MOVE:
            own = read_move(answer)
        return own or self.read(answer)

    async def missing(self, client: httpx.AsyncClient, remote_ids: Sequence[str]) -> frozenset[str]:
        """Which of these ids Brevo does not have any more. It takes 20 in one question."""
        path = f"/contacts?ids={','.join(remote_ids)}&limit={len(remote_ids)}"
        answer = await self.exchange(client, "GET", path)
        data = answer.data if isinstance(answer, Answer) and answer.status == 200 else None
        contacts = data.get("contacts") if isinstance(data, dict) else None
        if not isinstance(contacts, list):
            return frozenset(remote_ids)
        return frozenset(remote_ids) - {str(each.get("id")) for each in contacts if isinstance(each, dict)}

    def note_of(self, prepared: Record) -> str:
        """What explain shows of a delivered contact, with what Brevo still holds of it and the row has lost."""
        kept = still_there(prepared) if isinstance(prepared, Request) else ""
        return ". ".join(filter(None, (super().note_of(prepared), kept)))

    def left_out(self, contact: Contact) -> str:
        """A phone number that Brevo would refuse, and the whole contact with it, or that might be a stranger's."""
        why = why_number_left_out(contact.phone_number, self.phone_region)
        return f"{WITHOUT_ITS_NUMBER} {why}" if why else ""
