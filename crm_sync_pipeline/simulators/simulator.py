"""What the simulators of all vendors share: the way of a request, faults, the log, the control endpoint."""

import asyncio
import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import ClassVar

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from crm_sync_pipeline.simulators.control import control_routes
from crm_sync_pipeline.simulators.exchange import Answer, Headers, Request, read_body
from crm_sync_pipeline.simulators.fault_effects import break_off, drip_seconds, faulty_answer, send_answer, writes
from crm_sync_pipeline.simulators.fault_plan import NOTHING, ArmedFault, FaultPlan, Strike
from crm_sync_pipeline.simulators.faults import Fault
from crm_sync_pipeline.simulators.limiter import Clock, Reading
from crm_sync_pipeline.simulators.request_log import LOGGED_BODY_BYTES, LoggedRequest, RequestLog

REQUEST_LOG_SIZE = 100_000


def utc_now() -> datetime:
    """Tell the time, aware."""
    return datetime.now(timezone.utc)


class Simulator(ABC):
    """A vendor's API on loopback. A vendor's class says what its API does; this one does it over HTTP.

    A request is read whole, then admitted (key, rate limit), then struck by faults, then carried out, then
    answered. The state changes before the answer is sent, so a client that gives up early may have written.
    """

    name: ClassVar[str]
    base_paths: ClassVar[tuple[str, ...]]
    """What the paths of the vendor's API begin with."""

    upsert_route: ClassVar[tuple[str, str]]
    """Method and path that a fault strikes when it names no other."""

    fault_answers: ClassVar[Mapping[str, Answer]]
    """The vendor's own words for the status faults that proxies do not answer."""

    def __init__(
        self,
        faults: Iterable[Fault | str] = (),
        *,
        seed: int = 0,
        request_log_size: int = REQUEST_LOG_SIZE,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.clock = clock
        self.now = now
        self.requests = RequestLog(request_log_size)
        self.lock = threading.RLock()
        """Held while a request changes the state; hold it to read several things that belong together."""
        self._plan = FaultPlan(self.upsert_route, clock, seed)
        for fault in faults:
            self.inject(fault)
        self._beside = Starlette(routes=[*self.other_routes(), *control_routes(self)])

    @abstractmethod
    def admit(self, request: Request) -> tuple[Answer | None, Reading | None]:
        """Check key and rate limit: the refusal or None, and what the rate-limit headers shall say."""

    @abstractmethod
    def handle(self, request: Request) -> Answer:
        """Carry a request out. Called with the lock held."""

    @abstractmethod
    def headers(self, reading: Reading | None) -> list[tuple[bytes, bytes]]:
        """Name the headers that every answer bears."""

    @abstractmethod
    def emails_of(self, request: Request) -> Sequence[str]:
        """Find whose contacts a request is about, in its order, for the log and for faults that strike by e-mail."""

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """Count what the state holds."""

    @abstractmethod
    def clear(self) -> None:
        """Go back to the initial state. Called with the lock held."""

    def other_routes(self) -> Sequence[BaseRoute]:
        """List what is served outside `base_paths`."""
        return ()

    def inject(self, fault: Fault | str) -> int:
        """Set a fault, or one in the grammar of `faults`; its number. ValueError for what is none."""
        return self._plan.inject(Fault.parse(fault) if isinstance(fault, str) else fault)

    def heal(self, fault_id: int | None = None) -> int:
        """Take one fault away, or all. How many went."""
        return self._plan.heal(fault_id)

    def faults(self) -> Sequence[ArmedFault]:
        """List the faults that are set."""
        return self._plan.armed()

    def reset(self) -> None:
        """Forget requests and state, and fill the rate limits. Faults stay: `heal` takes them away."""
        with self.lock:
            self.clear()
            self.requests.clear()
            self._plan.reseed()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the ASGI app that is served: the vendor's API, and the control endpoint beside it."""
        if scope["path"].startswith(self.base_paths):  # straight: Starlette's way costs a third of a request
            await self._exchange(scope, receive, send)
        else:
            await self._beside(scope, receive, send)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_at = self.now()
        body = await read_body(receive)
        if body is None:
            return
        request = Request(scope, body)
        emails = tuple(self.emails_of(request))
        strike = NOTHING
        wrote = False
        refusal, reading = self.admit(request)
        answer: Answer | None
        if refusal is not None:
            answer = refusal
        else:
            strike = self._plan.draw(request.method, request.path, emails)
            answer, wrote = self._carry_out(request, strike)
        self.requests.append(
            LoggedRequest(
                method=request.method,
                path=request.path,
                status=answer.status if answer else None,
                received_at=received_at,
                emails=emails,
                body=request.body[:LOGGED_BODY_BYTES],
                wrote=wrote,
                fault=strike.described,
            )
        )
        # A server that stops cancels what still waits; its client has been disconnected before.
        with contextlib.suppress(asyncio.CancelledError):
            if strike.latency_seconds:
                await asyncio.sleep(strike.latency_seconds)
            if answer is not None:
                headers = self._headers(reading, strike)
                await send_answer(answer, headers, send, drip_seconds(strike.fault))
            elif strike.fault is not None:
                await break_off(strike.fault, scope, receive)

    def _carry_out(self, request: Request, strike: Strike) -> tuple[Answer | None, bool]:
        fault = strike.fault
        true_answer = None
        if fault is None or writes(fault):
            with self.lock:
                true_answer = self.handle(request)
        wrote = true_answer is not None and true_answer.wrote and request.method not in ("GET", "HEAD")
        if fault is None:
            return true_answer, wrote
        return faulty_answer(fault, true_answer, self.fault_answers), wrote

    def _headers(self, reading: Reading | None, strike: Strike) -> Headers:
        fault = strike.fault
        if fault is None or fault.kind != "status-429":
            return self.headers(reading)
        reset_seconds = fault.reset if fault.reset is not None else strike.left_seconds
        limit = reading.limit if reading is not None else 0
        headers = self.headers(Reading(limit, 0, 1 if reset_seconds is None else reset_seconds))
        if fault.retry_after is not None:
            headers.append((b"retry-after", f"{fault.retry_after:g}".encode()))
        return headers
