"""One Brevo account, served as its API serves it."""

import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar
from urllib.parse import unquote

from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from crm_sync_pipeline.simulators.brevo import answers
from crm_sync_pipeline.simulators.brevo.answers import Refused
from crm_sync_pipeline.simulators.brevo.config import BrevoConfig
from crm_sync_pipeline.simulators.brevo.endpoints import BrevoEndpoints, Handler
from crm_sync_pipeline.simulators.brevo.imports import Imports
from crm_sync_pipeline.simulators.brevo.state import Account, Attribute, BrevoContact, ContactsByEmail
from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline.simulators.faults import Fault
from crm_sync_pipeline.simulators.limiter import Clock, Reading
from crm_sync_pipeline.simulators.simulator import Simulator, utc_now

BASE_PATH = "/v3"


class BrevoSimulator(Simulator):
    """One simulated Brevo account. See `BrevoConfig` for its switches and `faults` for what can go wrong."""

    name: ClassVar[str] = "brevo"
    base_paths: ClassVar[tuple[str, ...]] = (BASE_PATH,)
    upsert_route: ClassVar[tuple[str, str]] = ("POST", f"{BASE_PATH}/contacts")
    fault_answers: ClassVar[Mapping[str, Answer]] = answers.FAULT_ANSWERS

    def __init__(
        self,
        config: BrevoConfig | None = None,
        faults: Iterable[Fault | str] = (),
        *,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.config = config or BrevoConfig()
        self._ids = random.Random()  # noqa: S311  # names requests, keeps no secret
        super().__init__(
            faults, seed=self.config.seed, request_log_size=self.config.request_log_size, clock=clock, now=now
        )
        self.clear()
        self.contacts: Mapping[str, BrevoContact] = ContactsByEmail(lambda: self.account)

    @property
    def account(self) -> Account:
        """The account's state, with the imports that are due by now carried out."""
        with self.lock:
            self.imports.advance(self.clock())
            return self._account

    def clear(self) -> None:
        """Start the account afresh."""
        config = self.config
        account = Account(self.now)
        for name, kind in config.attributes.items():
            account.attributes[name.upper()] = Attribute(name.upper(), "normal", kind)
        for list_id, name in config.lists.items():
            account.add_list(name, 1, list_id)
        self._account = account
        self.imports = Imports(account, config)
        self._contacts_limiter = config.limits.contacts(self.clock)
        self._others_limiter = config.limits.others(self.clock)
        self._routes = BrevoEndpoints(account, config, self.imports, self.clock).routes()

    def counts(self) -> Mapping[str, int]:
        """Count contacts, lists, attributes and imports."""
        account = self.account
        return {
            "contacts": len(account.contacts),
            "lists": len(account.lists),
            "attributes": len(account.attributes),
            "imports": len(self.imports.processes),
        }

    def admit(self, request: Request) -> tuple[Answer | None, Reading | None]:
        """Check the key, then take from the account's bucket: one for contacts, one for everything else."""
        limiter = self._contacts_limiter if request.path.startswith("/v3/contacts") else self._others_limiter
        key, known = request.header(b"api-key"), self.config.api_keys
        if not key:
            return answers.NO_KEY, limiter.reading()
        if known is not None and key not in known:
            return answers.WRONG_KEY, limiter.reading()
        passes, reading = limiter.admit()
        return (None if passes else answers.TOO_MANY_REQUESTS), reading

    def handle(self, request: Request) -> Answer:
        """Find the endpoint and ask it."""
        self.imports.advance(self.clock())
        path = request.raw_path[len(BASE_PATH) :]
        for pattern, methods in self._routes:
            matched = pattern.fullmatch(path)
            if matched is None:
                continue
            handler: Handler | None = methods.get(request.method)
            if handler is None:
                return answers.wrong_method(request.method)
            try:
                return handler(request, *map(unquote, matched.groups()))
            except Refused as refused:
                return refused.answer
        return answers.unknown_path(request.method, request.path)

    def headers(self, reading: Reading | None) -> list[tuple[bytes, bytes]]:
        """Name the request, and tell the rate limit; an account without one has no such headers."""
        # uuid4 asks the kernel for every one, which costs as much as the rest of the request.
        request_id = uuid.UUID(int=self._ids.getrandbits(128), version=4)
        headers = [(b"sib-request-id", str(request_id).encode())]
        if reading is not None:
            headers += [
                (b"x-sib-ratelimit-limit", b"%d" % reading.limit),
                (b"x-sib-ratelimit-remaining", b"%d" % reading.remaining),
                (b"x-sib-ratelimit-reset", f"{reading.reset_seconds:g}".encode()),
            ]
        return headers

    def emails_of(self, request: Request) -> Sequence[str]:
        """Find the address in the body, or else in the path; the addresses of an import in its rows."""
        if request.body:
            body = request.json_object()
            rows = body["jsonBody"] if isinstance(body.get("jsonBody"), list) else [body]
            emails = [row.get("email") for row in rows if isinstance(row, dict)]
            if found := [email.strip().lower() for email in emails if isinstance(email, str)]:
                return found
        last = request.path.rpartition("/")[2]
        return [last.lower()] if "@" in last else []

    def other_routes(self) -> Sequence[BaseRoute]:
        """Serve the failure files of imports; Brevo serves them from another host, without a key."""
        return (Route("/simulator/imports/{process_id:int}/{name}.csv", self._failure_file, methods=["GET"]),)

    async def _failure_file(self, request: StarletteRequest) -> Response:
        process = self.imports.processes.get(request.path_params["process_id"])
        name = request.path_params["name"]
        if process is None or name not in process.failures:
            return PlainTextResponse("No such file", status_code=404)
        return PlainTextResponse(process.file(name).encode("utf-8", "replace"), media_type="text/csv")
