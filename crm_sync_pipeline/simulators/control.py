"""The endpoint through which people and tests steer a running simulator. It is not part of any vendor's API.

GET    /simulator/state         what is held, what was asked and answered, which faults are set
GET    /simulator/requests      the newest requests, oldest first: ?limit=100
GET    /simulator/faults        which faults are set, and which there are
POST   /simulator/faults        {"fault": "status-503:times=3"} or {"faults": [...]}
DELETE /simulator/faults[/ID]   heal all, or one
POST   /simulator/reset         forget requests and state; faults stay
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from crm_sync_pipeline.simulators.faults import KINDS, OPTIONS, Fault
from crm_sync_pipeline.simulators.request_log import LoggedRequest

if TYPE_CHECKING:
    from crm_sync_pipeline.simulators.simulator import Simulator


def control_routes(simulator: "Simulator") -> Sequence[BaseRoute]:
    """List the routes that steer this simulator."""
    control = _Control(simulator)
    return (
        Route("/simulator/state", control.state, methods=["GET"]),
        Route("/simulator/requests", control.requests, methods=["GET"]),
        Route("/simulator/faults", control.faults, methods=["GET"]),
        Route("/simulator/faults", control.inject, methods=["POST"]),
        Route("/simulator/faults", control.heal, methods=["DELETE"]),
        Route("/simulator/faults/{fault_id:int}", control.heal, methods=["DELETE"]),
        Route("/simulator/reset", control.reset, methods=["POST"]),
    )


class _Control:
    # Handlers are async so that they run on the event loop, between requests, and not in a thread pool.

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator

    async def state(self, _: Request) -> Response:
        simulator = self._simulator
        return _json(
            {
                "simulator": simulator.name,
                "base_paths": list(simulator.base_paths),
                "holds": dict(simulator.counts()),
                "requests": simulator.requests.total,
                "answers": simulator.requests.statuses(),
                "faults": self._armed(),
            }
        )

    async def requests(self, request: Request) -> Response:
        try:
            limit = max(0, int(request.query_params.get("limit", "100")))
        except ValueError:
            return _refusal("limit takes a whole number of requests.")
        log = self._simulator.requests
        newest = log[max(0, len(log) - limit) :]
        return _json({"total": log.total, "requests": [_shown(entry) for entry in newest]})

    async def faults(self, _: Request) -> Response:
        return _json(
            {
                "faults": self._armed(),
                "kinds": {name: kind.meaning for name, kind in KINDS.items()},
                "options": {name: expected for name, (_, _, expected) in OPTIONS.items()},
            }
        )

    async def inject(self, request: Request) -> Response:
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = None
        wanted = [body.get("fault")] if isinstance(body, dict) and "fault" in body else None
        if wanted is None and isinstance(body, dict):
            wanted = body.get("faults")
        if not isinstance(wanted, list) or not all(isinstance(text, str) for text in wanted):
            return _refusal('Send {"fault": "status-503:times=3"} or {"faults": [...]}.')
        try:
            faults = [Fault.parse(text) for text in wanted]
        except ValueError as problem:
            return _refusal(str(problem))
        for fault in faults:
            self._simulator.inject(fault)
        return _json({"faults": self._armed()}, status_code=201)

    async def heal(self, request: Request) -> Response:
        healed = self._simulator.heal(request.path_params.get("fault_id"))
        return _json({"healed": healed, "faults": self._armed()})

    async def reset(self, _: Request) -> Response:
        self._simulator.reset()
        return Response(status_code=204)

    def _armed(self) -> list[dict[str, Any]]:
        return [
            {"id": armed.id, "fault": str(armed.fault), "times_left": armed.times_left}
            for armed in self._simulator.faults()
        ]


def _shown(entry: LoggedRequest) -> dict[str, Any]:
    try:
        body = entry.json
    except ValueError:
        body = entry.body.decode("utf-8", "replace")
    return {
        "method": entry.method,
        "path": entry.path,
        "status": entry.status,
        "received_at": entry.received_at.isoformat(),
        "emails": list(entry.emails),
        "body": body,
        "wrote": entry.wrote,
        "fault": entry.fault,
    }


def _refusal(sentence: str) -> Response:
    return _json({"message": sentence}, status_code=400)


def _json(body: Any, status_code: int = 200) -> Response:
    # Starlette's JSONResponse fails on half a surrogate pair, which a logged body may hold.
    return Response(json.dumps(body), status_code, media_type="application/json")
