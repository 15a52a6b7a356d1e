"""Acme on this machine: it keeps people by the Idempotency-Key they came with, and answers with an id."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from crm_sync_pipeline.simulators.exchange import Answer, Request, json_answer
from crm_sync_pipeline.simulators.limiter import Reading
from crm_sync_pipeline.simulators.simulator import Simulator

TOKEN = "sesame"

REFUSED = {400: "mail is not an address", 401: "unknown token", 402: "unpaid", 403: "forbidden", 404: "not here"}


class AcmeSimulator(Simulator):
    """POST /people {"mail": ..., "name": ...} with a bearer token."""

    name: ClassVar[str] = "acme"
    base_paths: ClassVar[tuple[str, ...]] = ("/people",)
    upsert_route: ClassVar[tuple[str, str]] = ("POST", "/people")
    fault_answers: ClassVar[Mapping[str, Answer]] = {
        **{f"status-{status}": json_answer(status, {"message": words}) for status, words in REFUSED.items()},
        **{f"status-{status}": Answer(status) for status in (405, 425, 429)},
        **dict.fromkeys(("status-401-key", "status-401-ip"), json_answer(401, {"message": REFUSED[401]})),
    }

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.people: dict[str, Mapping[str, Any]] = {}
        super().__init__()

    def clear(self) -> None:
        self.people.clear()

    def counts(self) -> Mapping[str, int]:
        return {"contacts": len(self.people)}

    def admit(self, request: Request) -> tuple[Answer | None, Reading | None]:
        is_known = request.header(b"authorization") == f"Bearer {self.token}"
        return (None if is_known else self.fault_answers["status-401-key"]), None

    def handle(self, request: Request) -> Answer:
        key = request.header(b"idempotency-key")
        if request.method != "POST" or not key:
            return self.fault_answers["status-400"]
        self.people.setdefault(key, request.json_object())
        return json_answer(200, {"id": f"person-{[*self.people].index(key) + 1}"})

    def headers(self, reading: Reading | None) -> list[tuple[bytes, bytes]]:
        _ = reading
        return [(b"x-request-id", b"acme-1")]

    def emails_of(self, request: Request) -> Sequence[str]:
        mail = request.json_object().get("mail") if request.body else None
        return [mail] if isinstance(mail, str) else []
