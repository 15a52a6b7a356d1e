"""One Mautic instance, served as its API serves it."""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, ClassVar

from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline.simulators.faults import Fault
from crm_sync_pipeline.simulators.limiter import Clock, Reading
from crm_sync_pipeline.simulators.mautic import answers
from crm_sync_pipeline.simulators.mautic.access import Access
from crm_sync_pipeline.simulators.mautic.answers import Refused
from crm_sync_pipeline.simulators.mautic.config import MauticConfig, Switches, check_permissions
from crm_sync_pipeline.simulators.mautic.endpoints import Handler, MauticEndpoints
from crm_sync_pipeline.simulators.mautic.reads import addresses_asked_for
from crm_sync_pipeline.simulators.mautic.state import ContactsByEmail, Instance, MauticContact
from crm_sync_pipeline.simulators.simulator import Simulator, utc_now

API, TOKEN = "/api", "/oauth/v2/token"  # a path
_NUMBERED = re.compile(rf"{API}/contacts/(\d+)(?:/|\Z)")


class MauticSimulator(Simulator):
    """One simulated Mautic. See `MauticConfig` for how it starts, `switches` for what can change meanwhile."""

    name: ClassVar[str] = "mautic"
    base_paths: ClassVar[tuple[str, ...]] = (f"{API}/", TOKEN)
    upsert_route: ClassVar[tuple[str, str]] = ("POST", f"{API}/contacts/batch/new")
    fault_answers: ClassVar[Mapping[str, Answer]] = answers.FAULT_ANSWERS

    def __init__(
        self,
        config: MauticConfig | None = None,
        faults: Iterable[Fault | str] = (),
        *,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.config = config or MauticConfig()
        super().__init__(
            faults, seed=self.config.seed, request_log_size=self.config.request_log_size, clock=clock, now=now
        )
        self.clear()
        self.contacts: Mapping[str, MauticContact] = ContactsByEmail(lambda: self.instance)

    def clear(self) -> None:
        """Start the instance afresh, its switches too; no token that was given is valid any more."""
        config = self.config
        self.switches = Switches(config.api_enabled, config.basic_auth_enabled, config.forbidden)
        self.instance = Instance(self.now, config.case_sensitive)
        for alias, kind in config.custom_fields.items():
            self.instance.add_field(alias, alias.replace("_", " ").capitalize(), kind)
        for segment_id, name in config.segments.items():
            self.instance.add_segment(segment_id, name)
        self.access = Access(config, self.switches, self.clock)
        self._routes = MauticEndpoints(self.instance, config, self.switches).routes()

    def counts(self) -> Mapping[str, int]:
        """Count contacts, fields, segments and tokens."""
        held = self.instance
        return {
            "contacts": len(held.contacts),
            "fields": len(held.fields),
            "segments": len(held.segments),
            "tokens": self.access.tokens,
        }

    def revoke_tokens(self) -> int:
        """Make every access token invalid, as an administrator does who deletes them; how many there were."""
        with self.lock:
            return self.access.revoke()

    def publish_fields(self) -> int:
        """Do what Mautic's cron job does: publish the fields that wait for it; how many they were."""
        with self.lock:
            waiting = [each for each in self.instance.fields.values() if not each.is_published]
            self.instance.fields.update({each.alias: replace(each, is_published=True) for each in waiting})
            return len(waiting)

    def admit(self, request: Request) -> tuple[Answer | None, Reading | None]:
        """See that the API is on, then who calls, then whether the hour has a call left."""
        with self.lock:
            if refusal := self.access.switched_off(request):
                return refusal, None
            if request.path == TOKEN:
                return None, None
            if refusal := self.access.not_logged_in(request):
                return refusal, None
            passes, reading = self.access.take_call()
        return (None if passes else answers.too_many_requests(reading.limit)), reading

    def handle(self, request: Request) -> Answer:
        """Find the endpoint and ask it."""
        if request.path == TOKEN:
            is_post = request.method == "POST"
            return self.access.token(request) if is_post else answers.wrong_method(request.method, request.path)
        for pattern, methods in self._routes:
            matched = pattern.fullmatch(request.path[len(API) :])
            if matched is None:
                continue
            handler: Handler | None = methods.get(request.method)
            if handler is None:
                return answers.wrong_method(request.method, request.path)
            try:
                return handler(request, *matched.groups())
            except Refused as refused:
                return refused.answer
        return answers.unknown_path(request.method, request.path)

    def headers(self, reading: Reading | None) -> list[tuple[bytes, bytes]]:
        """Tell the version, which what stands before the controllers does not, and the hourly limit where there is one.

        That a new contact's address comes in `Location` is left out.
        """
        if reading is None:
            return []
        headers = [(b"mautic-version", self.config.version.encode())]
        if reading.limit:
            ends_at = int(self.now().timestamp() + reading.reset_seconds)
            headers += [
                (b"x-ratelimit-limit", b"%d" % reading.limit),
                (b"x-ratelimit-remaining", b"%d" % reading.remaining),
                (b"x-ratelimit-reset", b"%d" % ends_at),  # a moment, not a wait
            ]
        return headers

    def emails_of(self, request: Request) -> Sequence[str]:
        """Find the addresses in the rows, or those of the contacts that are named by their ids."""
        if request.path == TOKEN:
            return []
        if matched := _NUMBERED.match(request.path):
            return self._held([matched[1]])
        if request.body:
            try:
                body = request.json()
            except ValueError:
                return []
            if isinstance(body, dict) and isinstance(body.get("ids"), list):
                return self._held(body["ids"])
            rows = body if isinstance(body, list) else [body]
            return [address for row in rows if isinstance(row, dict) for address in self._of_row(row)]
        return addresses_asked_for(request.query())

    def _of_row(self, row: Mapping[str, Any]) -> Sequence[str]:
        email = row.get("email")
        return [email.strip().lower()] if isinstance(email, str) else self._held([row.get("id")])

    def _held(self, ids: Sequence[Any]) -> Sequence[str]:
        numbers = [int(each) for each in ids if str(each).isdecimal()]
        contacts = [self.instance.contacts.get(number) for number in numbers]
        return [contact.email.lower() for contact in contacts if contact and contact.email]

    def other_routes(self) -> Sequence[BaseRoute]:
        """Serve what an administrator does in Mautic's own pages."""
        return (
            Route("/simulator/switches", self._show_switches, methods=["GET"]),
            Route("/simulator/switches", self._set_switches, methods=["POST"]),
            Route("/simulator/tokens", self._revoke, methods=["DELETE"]),
        )

    async def _show_switches(self, _: StarletteRequest) -> Response:
        return JSONResponse({**asdict(self.switches), "forbidden": sorted(self.switches.forbidden)})

    async def _set_switches(self, request: StarletteRequest) -> Response:
        """Set those that are named: {"api_enabled": false, "forbidden": ["fields"]}."""
        try:
            wanted = json.loads(await request.body())
            for name, value in wanted.items():
                getattr(self.switches, name)
                setattr(
                    self.switches, name, check_permissions(frozenset(value)) if name == "forbidden" else bool(value)
                )
        except (AttributeError, TypeError, ValueError) as problem:
            return JSONResponse({"message": f"Send a JSON object of switches: {problem}"}, status_code=400)
        return await self._show_switches(request)

    async def _revoke(self, _: StarletteRequest) -> Response:
        return JSONResponse({"revoked": self.revoke_tokens()})
