"""n8n: a POST to the production webhook of a workflow, once for each contact.

https://docs.n8n.io/integrations/builtin/core-nodes/n8n-nodes-base.webhook/
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

import httpx
from pydantic import Field, model_validator

from crm_sync_pipeline.destinations.contract import Answer, Call, Record
from crm_sync_pipeline.destinations.destination import HttpDestination, NotReadyError, like
from crm_sync_pipeline.destinations.http import printable
from crm_sync_pipeline.destinations.n8n import answers
from crm_sync_pipeline.destinations.n8n.readiness import N8nCheck
from crm_sync_pipeline.destinations.n8n.settings import N8nSettings
from crm_sync_pipeline.destinations.n8n.webhook import Webhook, origin_of
from crm_sync_pipeline.destinations.statuses import OUR_SETUP, PROXY_WANTS_LOGIN, REDIRECTS
from crm_sync_pipeline.domain.check import Line
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.domain.sentences import sentences
from crm_sync_pipeline.settings import Settings
from crm_sync_pipeline.settings.values import plain

NOT_REGISTERED_FOR = timedelta(minutes=10)
"""For how long a 404 may be a restart: n8n listens some seconds before it has its webhooks, longer after an upgrade."""

_TO_THE_WEBHOOK = ""
"""The path of a call, in place of the webhook's own, which nobody may see."""


class N8n(HttpDestination):
    """One webhook. Its URL is a secret: of it, only scheme and host are ever shown."""

    name: ClassVar[str] = "n8n"
    title: ClassVar[str] = "n8n"
    access: ClassVar[str] = "Webhook"
    secrets: ClassVar[Mapping[str, str]] = {"webhook_url": "N8N_WEBHOOK_URL", "webhook_secret": "N8N_WEBHOOK_SECRET"}

    blames_contact: ClassVar[frozenset[int]] = frozenset({400, 413, 422})
    our_setup: ClassVar[frozenset[int]] = OUR_SETUP - {404}
    holds_for_everybody: ClassVar[frozenset[int]] = frozenset({401, 403, PROXY_WANTS_LOGIN})

    base_url: str = Field(default="", description="Where n8n is; it follows from the webhook's URL.")
    webhook_url: str = Field(default="", repr=False, description="The webhook's production URL; env N8N_WEBHOOK_URL.")
    webhook_secret: str = Field(default="", repr=False, description="Sent as Bearer; env N8N_WEBHOOK_SECRET.")
    delivers_without_email: bool = like(N8nSettings, "delivers_without_email")

    @model_validator(mode="before")
    @classmethod
    def _shows_the_host_alone(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "base_url": origin_of(plain(values.get("webhook_url", "")))}

    @classmethod
    def from_settings(cls, settings: Settings) -> "N8n":
        """The webhook as the environment sets it."""
        return cls(**cls.alike(settings.of(N8nSettings)))

    @property
    def webhook(self) -> Webhook:
        """The webhook by its URL and secret."""
        return Webhook(self.webhook_url, self.webhook_secret)

    @property
    def needs_address(self) -> bool:
        """Whether a contact without an e-mail address is refused: n8n itself needs none."""
        return not self.delivers_without_email

    def require_ready(self) -> None:
        """NotReadyError without the webhook's URL."""
        if not self.webhook_url:
            raise NotReadyError(
                "N8N_WEBHOOK_URL is not set. Nothing was sent, no contact was touched. Set it to the production URL "
                "that the workflow's Webhook node shows and start again."
            )

    def headers(self) -> dict[str, str]:
        """The headers that every request carries, with the secret where there is one."""
        secret = self.webhook_secret
        return {"Authorization": f"Bearer {secret}"} if secret else {}

    def headers_of_request(self, records: Sequence[Record]) -> Mapping[str, str]:
        """The key by which a workflow tells a repeat from a new selection."""
        (record,) = records
        return {"Idempotency-Key": record.idempotency_key}

    def call_for(self, contact: Contact) -> Call:
        """All six fields, each time; null for what the contact has no value for."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        payload = {
            "contact_id": str(contact.id),
            "email": contact.address or None,
            "name": (contact.name or "").strip() or None,
            "scrapersky_domain_id": contact.domain_id,
            "scrapersky_page_id": contact.page_id,
            "timestamp": now,
        }
        return Call("POST", _TO_THE_WEBHOOK, payload)

    def lasting(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The contact's data: when it was sent says nothing about whether it has changed."""
        return {name: value for name, value in payload.items() if name != "timestamp"}

    async def exchange(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        within_seconds: float | None = None,
    ) -> Answer | Failed:
        """One request to the webhook, or to another URL of this n8n, and its answer."""
        url = self.webhook.url if path == _TO_THE_WEBHOOK else path
        return await super().exchange(client, method, url, body, headers=headers, within_seconds=within_seconds)

    def read(self, answer: Answer) -> Outcome:
        """What an answer means. A 404 may be a restart: only one that lasts is our set-up's fault."""
        if answer.status != 404:
            return super().read(answer)
        to_do = (
            "n8n also answers so for some seconds while it starts. If it lasts, activate (publish) the workflow, and "
            f"check the path and the method of N8N_WEBHOOK_URL, which leads to {self.base_url} now"
        )
        return Failed("http_404", sentences(self.error_text(answer), to_do), down_after=NOT_REGISTERED_FOR)

    def read_success(self, answer: Answer) -> Outcome | None:
        """JSON, or a 204. Neither the page that n8n shows while it starts, nor a 200 without a body is success."""
        if answers.is_success(answer):
            reason = "duplicate" if answers.is_duplicate(answer) else "accepted"
            return Synced(remote_id=answers.workflow_id_in(answer), reason=reason)
        said = f"{self.title} API error ({answer.status})"
        if answers.is_starting_up(answer):
            what = f"{said}: n8n is starting up"
            return Failed("starting_up", sentences(what, "Nothing was executed; the contact is sent again"))
        if answers.is_empty(answer):
            what = f"{said}: an answer without a body, which is what a workflow gives that fails before its answer"
            to_do = "Let the webhook respond when the last node finishes, with that node's JSON"
            return Failed("no_answer", sentences(what, to_do))
        what = f"{said}: the answer is not JSON, so it is not taken for success"
        to_do = "Let the workflow answer with JSON, or look for a proxy or a login page before n8n"
        return Failed("unexpected_answer", sentences(what, to_do))

    def read_refusal(self, answer: Answer) -> Rejected | DestinationDown | Failed:
        """The workflow refuses the contact, or a proxy finds it too large; a page of HTML blames nobody."""
        said = self.error_text(answer)
        if answers.is_page(answer) and answer.status != 413:
            who = "This is not a workflow's answer, so no contact is blamed. Look for a proxy or a firewall before n8n"
            return Failed("unexpected_refusal", sentences(said, who))
        return Rejected(f"http_{answer.status}", said, may_be_ours=True)

    def read_setup_fault(self, answer: Answer) -> DestinationDown:
        """A status that no contact is to blame for, and what to do about it."""
        reason, to_do = self._set_up(answer)
        return DestinationDown(reason, sentences(self.error_text(answer), to_do))

    def _set_up(self, answer: Answer) -> tuple[str, str]:
        words = self.vendor_message(answer).lower()
        check_url = f"Check N8N_WEBHOOK_URL, which leads to {self.base_url} now"
        if "ip is not whitelisted" in words:
            return "ip_not_allowed", "Add this machine's address to the IP(s) Whitelist of the Webhook node"
        if answer.status in (401, 403):
            credential = "a Header Auth credential with the name Authorization and the value Bearer SECRET"
            if self.webhook_secret:
                return "wrong_secret", f"n8n refused N8N_WEBHOOK_SECRET. The Webhook node needs {credential}"
            return "no_secret", f"Set N8N_WEBHOOK_SECRET to the SECRET of {credential}"
        if answer.status in REDIRECTS:
            return (
                f"http_{answer.status}",
                f"Contacts are sent to no other address than the one that is set. {check_url}",
            )
        if answer.status == PROXY_WANTS_LOGIN:
            return (
                f"http_{answer.status}",
                "A proxy between this machine and n8n wants a user and a password: check HTTPS_PROXY, HTTP_PROXY and "
                "ALL_PROXY (http://USER:PASSWORD@HOST:PORT), or name n8n's host in NO_PROXY",
            )
        return f"http_{answer.status}", f"Look at n8n, and at the proxy before it. {check_url}"

    def vendor_message(self, answer: Answer) -> str:
        """n8n's words, in JSON or as plain text, without any part of the webhook's URL or the secret."""
        said = super().vendor_message(answer)
        if not said and answer.data is None and not answers.is_page(answer):
            said = printable(answer.body[: answers.LONGEST_PLAIN_TEXT].decode("utf-8", "replace"))
        return self.webhook.hidden_in(said)

    def error_text(self, answer: Answer, instead: str = "") -> str:
        """'n8n API error (403): Authorization data is wrong!'; of a redirect's address, scheme and host alone."""
        if answer.status not in REDIRECTS:
            return super().error_text(answer, instead)
        where = origin_of(answer.headers.get("location", "")) or "another path"
        return f"{self.title} API error ({answer.status}): it redirects to {where}"

    def request_id(self, answer: Answer) -> str | None:
        """The execution's id, by which it is found in n8n, where the workflow names it."""
        return answers.execution_id_in(answer)

    async def check(
        self, client: httpx.AsyncClient, *, create_fields: bool = False, clock: Callable[[], datetime]
    ) -> Sequence[Line]:
        """Ask n8n whether the webhook is there, without executing it. There are no fields to create."""
        _ = create_fields, clock
        return await N8nCheck(self, self.webhook, client).lines()
