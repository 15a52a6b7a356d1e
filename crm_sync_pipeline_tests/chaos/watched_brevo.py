"""The Brevo simulator, which remembers beside its own log which call of which worker it obeyed, and when."""

import time
from dataclasses import dataclass, field
from typing import Any

from crm_sync_pipeline.destinations.base import body_of, payload_hash
from crm_sync_pipeline.simulators.brevo import BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.exchange import Answer, Request

CALL_HEADER = "x-chaos-call"


@dataclass(frozen=True, slots=True)
class Obeyed:
    """An upsert that was carried out, `at` a monotonic time. `call` is "" where the client numbers none."""

    at: float
    call: str
    email: str
    payload_hash: str
    payload: dict[str, Any] = field(repr=False)


class WatchedBrevo(BrevoSimulator):
    """`obeyed` grows with every upsert that changed the account, in the order in which they did."""

    def __init__(self, config: BrevoConfig | None = None) -> None:
        self.obeyed: list[Obeyed] = []
        super().__init__(config)

    def handle(self, request: Request) -> Answer:
        """See Simulator."""
        answer = super().handle(request)
        if answer.wrote and (request.method, request.path) == self.upsert_route:
            payload = dict(request.json_object())
            call = request.header(CALL_HEADER.encode()) or ""
            self.obeyed.append(
                Obeyed(time.monotonic(), call, str(payload.get("email")), payload_hash(body_of(payload)), payload)
            )
        return answer
