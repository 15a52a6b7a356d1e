"""What n8n says of our set-up before the first contact is sent; nothing of it executes the workflow."""

from collections.abc import Mapping

import httpx

from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.destinations.n8n.answers import is_starting_up
from crm_sync_pipeline.destinations.n8n.webhook import Webhook
from crm_sync_pipeline.domain.check import Line, State
from crm_sync_pipeline.domain.outcome import Failed

ASK_SECONDS = 10
_TO_THE_WEBHOOK = ""
_PREFLIGHT: Mapping[str, str] = {"Origin": "http://localhost"}
"""What makes n8n name the methods of a webhook: without an origin, some versions name none."""


class N8nCheck:
    """The questions of one check."""

    def __init__(self, n8n: HttpDestination, webhook: Webhook, client: httpx.AsyncClient) -> None:
        self._n8n = n8n
        self._webhook = webhook
        self._client = client

    async def lines(self) -> list[Line]:
        """Every answer; n8n is not asked about a webhook that can only be wrong, nor one that does not answer."""
        found = [self._url()]
        health = await self._health()
        found.append(health)
        if health.state is not State.RED and not self._webhook.is_for_tests:
            found.append(await self._registered())
        found.append(self._secret())
        return found

    def _url(self) -> Line:
        where = f"at {self._webhook.origin}"
        if self._webhook.is_for_tests:
            says = "N8N_WEBHOOK_URL is a test URL: it takes one call after a click in n8n's editor, and no other"
            to_do = (
                "Set it to the production URL that the Webhook node shows, with /webhook/ in place of /webhook-test/."
            )
            return Line("URL", State.RED, says, to_do)
        if self._webhook.travels_openly:
            says = f"{where}, by http: contacts and the secret can be read by others on the way"
            return Line("URL", State.YELLOW, says, "Nothing, within a network of your own. Otherwise use https.")
        if not self._webhook.is_for_production:
            says = f"{where}, without /webhook/ in its path, which n8n's production URLs have"
            return Line("URL", State.YELLOW, says, "Nothing, if N8N_ENDPOINT_WEBHOOK or a proxy gives it another path.")
        return Line("URL", State.GREEN, f"{where}, a production URL")

    async def _health(self) -> Line:
        answer = await self._ask("GET", self._webhook.health)
        if isinstance(answer, Failed):
            to_do = "Look at the network, at proxies and at N8N_WEBHOOK_URL."
            return Line("n8n", State.RED, answer.message, to_do)
        data = answer.data
        if answer.status == 200 and isinstance(data, dict) and data.get("status") == "ok":
            return Line("n8n", State.GREEN, "it answers")
        says = f"something answers {self._webhook.origin}, but not n8n's health check (HTTP {answer.status})"
        return Line("n8n", State.YELLOW, says, "Nothing, if a proxy lets nothing but webhooks through.")

    async def _registered(self) -> Line:
        """An OPTIONS is answered with the methods that are registered for its path, and executes nothing."""
        answer = await self._ask("OPTIONS", _TO_THE_WEBHOOK, _PREFLIGHT)
        if isinstance(answer, Failed):
            return Line("Webhook", State.RED, answer.message, "Run the check again.")
        if is_starting_up(answer) or answer.status == 404:
            says = "n8n has no webhooks at the moment: it is starting, or the path is wrong"
            return Line("Webhook", State.RED, says, "Run the check again in a minute.")
        named = answer.headers.get("access-control-allow-methods", "")
        methods = {each.strip().upper() for each in named.split(",")} - {"", "OPTIONS"}
        if "POST" in methods:
            return Line("Webhook", State.GREEN, "a workflow that is active has it, for POST")
        if methods:
            to_do = "Choose POST in the Webhook node."
            return Line("Webhook", State.RED, f"it is registered for {', '.join(sorted(methods))}, not for POST", to_do)
        if named:
            to_do = "Activate (publish) the workflow, or set N8N_WEBHOOK_URL to the URL that its Webhook node shows."
            return Line("Webhook", State.RED, "no workflow that is active has a webhook of this path", to_do)
        says = f"whether it is registered can't be told without a contact (HTTP {answer.status} to OPTIONS)"
        return Line("Webhook", State.YELLOW, says, "`crm-sync sync-now CONTACT --crm n8n` sends one.")

    def _secret(self) -> Line:
        if self._webhook.secret:
            says = "set, and sent as Authorization: Bearer; whether n8n accepts it, the first contact shows"
            return Line("Secret", State.GREEN, says)
        to_do = "Set N8N_WEBHOOK_SECRET, and Header Auth in the Webhook node."
        return Line("Secret", State.YELLOW, "not set: whoever knows the webhook's URL can call it", to_do)

    async def _ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer | Failed:
        return await self._n8n.exchange(self._client, method, path, headers=headers, within_seconds=ASK_SECONDS)
