"""The Brevo simulator, which remembers beside its own log which call of which worker it obeyed, and when.

An import is a call for each of its contacts, obeyed when it is carried out.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_sync_pipeline.destinations.contract import body_of, payload_hash
from crm_sync_pipeline.simulators.brevo import BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.brevo.imports import Process
from crm_sync_pipeline.simulators.exchange import Answer, Request

CALL_HEADER = "x-chaos-call"
IMPORT_ROUTE = ("POST", "/v3/contacts/import")


def part_of_request(number: str, email: str) -> str:
    """What the part of one contact is called in a request that carries many, and itself has a number."""
    return f"{number}:{email}"


@dataclass(frozen=True, slots=True)
class Obeyed:
    """An upsert that was carried out, `at` a monotonic time. `call` is "" where the client numbers none."""

    at: float
    call: str
    email: str
    payload_hash: str
    payload: dict[str, Any] = field(repr=False)


class WatchedBrevo(BrevoSimulator):
    """`obeyed` grows with every upsert that changed the account, in the order in which they did.

    `processes` has the number of the process that each import became, by the number of its call.
    """

    def __init__(self, config: BrevoConfig | None = None) -> None:
        self.obeyed: list[Obeyed] = []
        self.processes: dict[str, int] = {}
        self._in_progress: list[tuple[str, Process]] = []
        super().__init__(config)

    def handle(self, request: Request) -> Answer:
        """See Simulator."""
        answer = super().handle(request)
        self.note_imports()  # they came before this request
        call, route = request.header(CALL_HEADER.encode()) or "", (request.method, request.path)
        if answer.wrote and route == self.upsert_route:
            self._note(call, dict(request.json_object()))
        if answer.status == 202 and route == IMPORT_ROUTE:
            process = self.imports.processes[max(self.imports.processes)]
            self.processes[call] = process.id
            self._in_progress.append((call, process))
        return answer

    def note_imports(self) -> None:
        """Note what imports have brought in by now."""
        self.imports.advance(self.clock())
        over = [each for each in self._in_progress if each[1].completed_at]
        self._in_progress = [each for each in self._in_progress if not each[1].completed_at]
        for call, process in over:
            refused = {id(row) for rows in process.failures.values() for row in rows}
            for row in process.order.rows:
                if id(row) not in refused:
                    self._note(part_of_request(call, row["email"]), _as_upsert(row, process.order.list_ids))

    def _note(self, call: str, payload: dict[str, Any]) -> None:
        email = str(payload.get("email"))
        attributes = {name: value for name, value in payload.get("attributes", {}).items() if value != ""}
        payload = {**payload, "attributes": attributes}  # what is emptied for once is not part of what it holds
        self.obeyed.append(Obeyed(time.monotonic(), call, email, payload_hash(body_of(payload)), payload))


def _as_upsert(row: Mapping[str, Any], list_ids: Sequence[int]) -> dict[str, Any]:
    """What a single call would have sent of the same contact."""
    attributes = {name: value for name, value in row.items() if name != "email"}
    return {"email": row["email"], "attributes": attributes, "updateEnabled": True, "listIds": list(list_ids)}
