"""The vendor's API: POST /v3/contacts/many {"contacts": [...]}, each as in POST /v3/contacts, with a key of our own."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from crm_sync_pipeline.simulators.brevo import BrevoConfig
from crm_sync_pipeline.simulators.brevo.answers import Refused, error
from crm_sync_pipeline.simulators.brevo.contacts import upsert
from crm_sync_pipeline.simulators.exchange import Answer, Request, json_answer
from crm_sync_pipeline_tests.chaos.vendors.brevo import WatchedBrevo
from crm_sync_pipeline_tests.chaos.watched import call_of, part_of_request

MOST = 3

WAYS = ("whole", "shuffled", "short", "doubled", "contradictory", "foreign", "swapped", "half", "cut", "nothing")
"""How a batch that was carried out is answered.

`whole` names each contact once, in order; `shuffled` in another one; `short` leaves the last out; `doubled` names the
first twice; `contradictory` names it twice, with another result; `foreign` names somebody who was not sent before the
others; `swapped` gives each result the key of another contact; `half` names the first half; `cut` is half a body, and
`nothing` none at all.
"""


class BatchSimulator(WatchedBrevo):
    """A request is refused as a whole with more than three contacts, one address twice, or "poison" in an address.

    `ways` are what the answers to batches are drawn from.
    """

    upsert_route: ClassVar[tuple[str, str]] = ("POST", "/v3/contacts/many")

    def __init__(self, config: BrevoConfig | None = None, ways: Sequence[str] = ("whole",)) -> None:
        self.ways = ways
        super().__init__(config)

    def calm(self) -> None:
        """See Watched."""
        super().calm()
        self.ways = ("whole",)

    def clear(self) -> None:
        """Forget every contact, and draw the same answers again."""
        super().clear()
        self._dice = random.Random(self.config.seed)  # noqa: S311  # repeatable on purpose

    def emails_of(self, request: Request) -> Sequence[str]:
        """Find the addresses of all contacts of a batch."""
        rows = _rows_of(request)
        return [str(row.get("email")).strip().lower() for row in rows] if rows else super().emails_of(request)

    def handle(self, request: Request) -> Answer:
        """Carry a batch out, contact by contact, or refuse it as a whole."""
        if (request.method, request.path) != self.upsert_route:
            return super().handle(request)
        rows, emails = _rows_of(request), self.emails_of(request)
        if not 1 <= len(rows) <= MOST or len(set(emails)) < len(emails) or "poison" in "".join(emails):
            return error(400, "batch_refused", "The batch can't be processed")
        results = [self._result(request, row, len(rows)) for row in rows]
        return _answer(self._dice.choice(self.ways), results, self._dice)

    def _result(self, request: Request, row: Mapping[str, Any], size: int) -> dict[str, Any]:
        payload = {name: value for name, value in row.items() if name != "key"}
        try:
            answer = upsert(self._account, self.config, payload)
        except Refused as refused:
            answer = refused.answer
        email = str(row.get("email")).strip().lower()
        if answer.wrote:
            number = call_of(request)
            self.note_upsert(number if size == 1 else part_of_request(number, email), payload)
        body = json.loads(answer.body) if answer.body else None
        return {"key": row.get("key"), "email": email, "status": answer.status, "body": body}


def _answer(way: str, results: list[dict[str, Any]], dice: random.Random) -> Answer:
    if way == "shuffled":
        dice.shuffle(results)
    elif way == "short":
        results = results[:-1]
    elif way == "doubled":
        results = [results[0], *results]
    elif way == "contradictory":
        results = [*results, {**results[0], "status": 400, "body": {"code": "invalid_parameter", "message": "No"}}]
    elif way == "foreign":
        results = [{"key": "nobody", "email": "nobody@else.example", "status": 204, "body": None}, *results]
    elif way == "swapped":
        keys = [each["key"] for each in results]
        results = [{**each, "key": key} for each, key in zip(results, keys[1:] + keys[:1], strict=True)]
    elif way == "half":
        results = results[: len(results) // 2]
    statuses = {each["status"] // 100 for each in results}
    answer = json_answer(207 if statuses != {2} else 200, {"results": results})
    if way == "cut":
        return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.content_type)
    return Answer(200) if way == "nothing" else answer


def _rows_of(request: Request) -> list[dict[str, Any]]:
    rows = request.json_object().get("contacts") if request.body else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
