"""One n8n with one webhook, served as n8n serves it, and the workflow that docs/destinations/n8n holds behind it."""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar

from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline.simulators.faults import Fault
from crm_sync_pipeline.simulators.limiter import Clock, Reading
from crm_sync_pipeline.simulators.n8n import answers
from crm_sync_pipeline.simulators.n8n.authorization import refusal
from crm_sync_pipeline.simulators.n8n.config import N8nConfig
from crm_sync_pipeline.simulators.n8n.starting import Phase, Start
from crm_sync_pipeline.simulators.simulator import Simulator, utc_now
from crm_sync_pipeline.simulators.transport import reset_connection

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
LIVE, TEST, HEALTH = "/webhook/", "/webhook-test/", "/healthz"


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of the workflow. `key` is the request's Idempotency-Key; `is_duplicate`: it was worked on before."""

    id: str
    body: Any
    key: str | None
    is_duplicate: bool
    has_failed: bool


@dataclass
class Switches:
    """What may change while n8n runs: whether the workflow is active, whether its work fails, n8n's database."""

    is_active: bool = True
    workflow_fails: bool = False
    database_is_lost: bool = False


class N8nSimulator(Simulator):
    """One simulated n8n. See `N8nConfig` for its set-up, `switches` and `restart` for what befalls it.

    A body is handed to the workflow as it is; nothing in n8n looks at its fields. The workflow remembers each
    Idempotency-Key once its work is done, so that a request whose answer was lost is not worked on twice.
    """

    name: ClassVar[str] = "n8n"
    base_paths: ClassVar[tuple[str, ...]] = (LIVE, TEST, HEALTH)
    upsert_route: ClassVar[tuple[str, str]] = ("POST", f"{LIVE}*")
    fault_answers: ClassVar[Mapping[str, Answer]] = answers.FAULT_ANSWERS

    def __init__(
        self,
        config: N8nConfig | None = None,
        faults: Iterable[Fault | str] = (),
        *,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.config = config or N8nConfig()
        super().__init__(
            faults, seed=self.config.seed, request_log_size=self.config.request_log_size, clock=clock, now=now
        )
        self.clear()

    def clear(self) -> None:
        """Start afresh: up, active, its database there, and no execution yet."""
        self.executions: list[Execution] = []
        self.contacts: dict[str, Mapping[str, Any]] = {}
        """What the workflow was sent last of each contact whose work it did, by contact_id."""
        self.switches = Switches()
        self.start = Start(self.config, self.clock)
        self._keys: set[str] = set()
        self._ids = itertools.count(1)

    def restart(self) -> None:
        """Restart n8n now: for as long as the config says it refuses, starts up and has no routes."""
        self.start.again()

    def counts(self) -> Mapping[str, int]:
        """Count executions, those that were duplicates, and the contacts whose work was done."""
        duplicates = sum(each.is_duplicate for each in self.executions)
        return {"contacts": len(self.contacts), "executions": len(self.executions), "duplicates": duplicates}

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as n8n, or not at all.

        A process that listens can't refuse a connection, so while n8n would, each one is reset: a caller gets nothing
        either way, and the control endpoint stays there.
        """
        if self.start.phase is Phase.REFUSING and scope["path"].startswith(self.base_paths):
            await reset_connection(scope, receive)
        else:
            await super().app(scope, receive, send)

    def admit(self, request: Request) -> tuple[Answer | None, Reading | None]:
        """Answer what n8n does before it looks at a webhook; it has no rate limit."""
        phase, lost = self.start.phase, self.switches.database_is_lost
        if request.path == HEALTH:
            return answers.HEALTHY, None
        if request.path == f"{HEALTH}/readiness":
            return (answers.NOT_READY if phase is Phase.STARTING or lost else answers.HEALTHY), None
        if phase is Phase.STARTING:
            return answers.STARTING_UP, None
        if lost:
            return answers.database_lost(self.config.shows_stack), None
        if phase is Phase.WITHOUT_ROUTES:
            return answers.no_route(request.method, request.path), None
        return None, None

    def handle(self, request: Request) -> Answer:
        """Find the webhook, and run its workflow."""
        config, stack = self.config, self.config.shows_stack
        if request.path.startswith(TEST):
            return answers.not_listening(request.path.removeprefix(TEST), stack)
        if not request.path.startswith(LIVE):
            return answers.no_route(request.method, request.path)
        path = request.path.removeprefix(LIVE).rstrip("/")
        is_there = path == config.path and self.switches.is_active and self.start.phase is Phase.UP
        if request.method == "OPTIONS":
            to_browser = request.header(b"origin") is not None
            return answers.methods_of((config.method,) if is_there else (), to_browser=to_browser)
        if request.method not in METHODS:
            return answers.error(500, 0, f"The method {request.method} is not supported.", shows_stack=stack)
        if not is_there:
            return answers.not_registered(request.method, path, stack)
        if request.method != config.method:
            return answers.other_method(request.method, config.method, stack)
        if len(request.body) > config.most_bytes:
            return answers.too_large(stack)
        try:
            body = request.json() if request.body else {}
        except ValueError:
            return answers.not_json("Unexpected end of JSON input", stack)
        return refusal(config, request) or self._execute(request, body)

    def _execute(self, request: Request, body: Any) -> Answer:
        """Run the workflow: what it has not done before under this key, it does; then it remembers the key."""
        key = request.header(b"idempotency-key")
        is_duplicate = key in self._keys
        fails = self.switches.workflow_fails and not is_duplicate
        execution = Execution(str(next(self._ids)), body, key, is_duplicate, fails)
        self.executions.append(execution)
        if not is_duplicate and not fails:
            if key:
                self._keys.add(key)
            if isinstance(body, dict):
                self.contacts[str(body.get("contact_id"))] = body
        return self._answer(request, execution)

    def _answer(self, request: Request, execution: Execution) -> Answer:
        mode, stack = self.config.mode, self.config.shows_stack
        if mode == "on-received":
            return answers.STARTED
        if mode == "no-respond":
            return answers.no_respond_node(stack)
        if execution.has_failed:
            return answers.NOTHING if mode == "respond" else answers.WORKFLOW_ERROR
        if mode == "no-data":
            return answers.NOTHING
        if mode == "last-node":
            return answers.json_answer(200, _item(request, execution.body))
        ids = {"workflow_id": self.config.workflow_id, "execution_id": execution.id}
        return answers.json_answer(200, {**ids, "duplicate": execution.is_duplicate})

    def headers(self, reading: Reading | None) -> list[tuple[bytes, bytes]]:
        """None: n8n names no request and no limit."""
        _ = reading
        return []

    def emails_of(self, request: Request) -> Sequence[str]:
        """Find the address in the body; a contact may have none."""
        email = request.json_object().get("email") if request.body else None
        return [email.strip().lower()] if isinstance(email, str) and email.strip() else []

    def other_routes(self) -> Sequence[BaseRoute]:
        """Serve what befalls n8n: POST /simulator/restart, POST /simulator/switches {"is_active": false}."""
        return (
            Route("/simulator/restart", self._restart, methods=["POST"]),
            Route("/simulator/switches", self._switch, methods=["POST"]),
        )

    async def _restart(self, _: StarletteRequest) -> Response:
        self.restart()
        return Response(status_code=204)

    async def _switch(self, request: StarletteRequest) -> Response:
        try:
            wanted = await request.json()
        except ValueError:
            wanted = None
        known = [field.name for field in fields(Switches)]
        if not isinstance(wanted, dict) or not all(
            name in known and isinstance(value, bool) for name, value in wanted.items()
        ):
            return JSONResponse({"message": f"Send any of {', '.join(known)}, each true or false."}, status_code=400)
        for name, value in wanted.items():
            setattr(self.switches, name, value)
        return JSONResponse({name: getattr(self.switches, name) for name in known})


def _item(request: Request, body: Any) -> dict[str, Any]:
    """A request as the Webhook node hands it on."""
    host = request.header(b"host") or "127.0.0.1"
    return {
        "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers},
        "params": {},
        "query": {name: values[0] if len(values) == 1 else values for name, values in request.query().items()},
        "body": body,
        "webhookUrl": f"http://{host}{request.path}",
        "executionMode": "production",
    }
