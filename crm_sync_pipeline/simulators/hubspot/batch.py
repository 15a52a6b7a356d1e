"""HubSpot's batches: up to 100 contacts in a request.

Where each input has an objectWriteTraceId of its own, a bad row fails alone, and the answer is a 207. Where one has
none, a bad row refuses the request as a whole. HubSpot's documents say so of creates; recordings show it for upserts.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crm_sync_pipeline.simulators.exchange import Answer, json_answer
from crm_sync_pipeline.simulators.hubspot.answers import (
    NOT_FOUND,
    NOT_UNIQUE,
    NOTHING_TO_DO,
    SOME_NOT_FOUND,
    TOO_MANY,
    Problem,
    Refused,
    bad_json,
    duplicate_ids,
    error,
)
from crm_sync_pipeline.simulators.hubspot.config import HubspotConfig
from crm_sync_pipeline.simulators.hubspot.contacts import SHOWN_BY_DEFAULT, Contacts, shown_time
from crm_sync_pipeline.simulators.hubspot.state import Account

MOST = 100
STRICT_SINCE = "2026-09"

Row = Mapping[str, Any]
Failure = tuple[Row, Problem]


class Batches:
    """The four batches of one account. Each takes the body and the version of the path."""

    def __init__(self, account: Account, contacts: Contacts, config: HubspotConfig) -> None:
        self._account = account
        self._contacts = contacts
        self._config = config
        self._random = random.Random(config.seed)  # noqa: S311  # repeatable on purpose

    def upsert(self, body: Mapping[str, Any], version: str) -> Answer:
        """POST .../batch/upsert: 200, or 207 where some rows failed."""
        rows = _rows(body)
        if any(row.get("idProperty") not in ("email",) for row in rows):
            raise Refused(NOT_UNIQUE)
        _refuse_duplicates(rows, fold=True)

        def one(row: Row) -> dict[str, Any]:
            contact, is_new = self._contacts.upsert(str(row["id"]), row.get("properties"), strict=_is_strict(version))
            return {**self._contacts.shown_after_write(contact, row["properties"]), "new": is_new}

        return self._write(rows, one, 200, version)

    def update(self, body: Mapping[str, Any], version: str) -> Answer:
        """POST .../batch/update, by id: 200, or 207 where some rows failed."""
        rows = _rows(body)
        if any(row.get("idProperty") not in (None, "hs_object_id") for row in rows):
            raise Refused(NOT_UNIQUE)
        _refuse_duplicates(rows, fold=False)

        def one(row: Row) -> dict[str, Any]:
            contact = self._contacts.find(str(row["id"]), None)
            changed = self._contacts.update(contact, row.get("properties"))
            return self._contacts.shown_after_write(changed, row["properties"])

        return self._write(rows, one, 200, version)

    def create(self, body: Mapping[str, Any], version: str) -> Answer:
        """POST .../batch/create: 201, or 207 where some rows failed."""
        rows = _rows(body, needs_id=False)

        def one(row: Row) -> dict[str, Any]:
            contact = self._contacts.create(row.get("properties"), strict=_is_strict(version))
            return self._contacts.shown_after_write(contact, row["properties"])

        return self._write(rows, one, 201, version)

    def read(self, body: Mapping[str, Any], version: str) -> Answer:
        """POST .../batch/read: 200 with those who are there, 207 where some are not."""
        rows = _rows(body)
        id_property = body.get("idProperty")
        wanted = body.get("properties") or SHOWN_BY_DEFAULT
        results, absent = [], []
        for row in rows:
            try:
                contact = self._contacts.find(str(row["id"]), id_property)
            except Refused as refused:
                if refused.problem is not NOT_FOUND:
                    raise
                absent.append((row, NOT_FOUND))
                continue
            results.append(self._contacts.shown(contact, wanted))
        return self._answer(results, absent, 200, version)

    def _write(self, rows: Sequence[Row], one: Callable[[Row], dict[str, Any]], status: int, version: str) -> Answer:
        traces = [row.get("objectWriteTraceId") for row in rows]
        row_by_row = all(traces) and len(set(traces)) == len(traces)
        if _is_strict(version) and self._config.partial_2026_09 == "400":
            row_by_row = False
        before = self._account.snapshot() if not row_by_row else None
        results, failures = [], []
        for row in rows:
            try:
                result = one(row)
            except Refused as refused:
                if before is not None and refused.problem is not NOT_FOUND:
                    self._account.restore(before)
                    return error(refused.problem)
                failures.append((row, refused.problem))
                continue
            if self._config.echoes_trace_ids and row.get("objectWriteTraceId"):
                result["objectWriteTraceId"] = row["objectWriteTraceId"]
            results.append(result)
        return self._answer(results, failures, status, version)

    def _answer(self, results: list[dict[str, Any]], failures: Sequence[Failure], status: int, version: str) -> Answer:
        self._random.shuffle(results)  # they are not in the order of the inputs
        moment = shown_time(self._account.now())
        body: dict[str, Any] = {"status": "COMPLETE", "results": results}
        if failures:
            body["errors"] = self._errors(failures)
            body["numErrors"] = len(body["errors"])  # groups, not rows: seen once
            status = 200 if _is_strict(version) and self._config.partial_2026_09 == "200" else 207
        return json_answer(status, {**body, "startedAt": moment, "completedAt": moment})

    def _errors(self, failures: Sequence[Failure]) -> list[dict[str, Any]]:
        absent = [str(row["id"]) for row, problem in failures if problem is NOT_FOUND]
        others = [(row, problem) for row, problem in failures if problem is not NOT_FOUND]
        errors: list[dict[str, Any]] = []
        by_message: dict[str, dict[str, Any]] = {}
        for row, problem in others:
            trace = row["objectWriteTraceId"]
            if self._config.groups_errors and problem.message in by_message:
                by_message[problem.message]["context"]["objectWriteTraceId"].append(trace)
                continue
            item = self._item(problem, {**(problem.context or {}), "objectWriteTraceId": [trace]})
            by_message[problem.message] = item
            errors.append(item)
        if absent:
            errors.append(self._item(SOME_NOT_FOUND, {"ids": absent}))
        return errors

    def _item(self, problem: Problem, context: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        item: dict[str, Any] = {
            "status": "error",
            "category": problem.category,
            "message": problem.message,
            "context": context,
        }
        if problem.details or self._config.strict_errors:
            item["errors"] = list(problem.details)
        if self._config.strict_errors:
            item["links"] = {}
        return item


def _is_strict(version: str) -> bool:
    """Whether this version of the path enforces an administrator's rules. v3 is before every date."""
    return version != "v3" and version >= STRICT_SINCE


def _rows(body: Mapping[str, Any], *, needs_id: bool = True) -> Sequence[Row]:
    rows = body.get("inputs")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refused(bad_json("Cannot deserialize value of type `java.util.ArrayList<...>`"))
    if not rows:
        raise Refused(NOTHING_TO_DO)
    if len(rows) > MOST:
        raise Refused(TOO_MANY)
    if needs_id and not all(row.get("id") for row in rows):
        raise Refused(bad_json("Some required fields were not set: [id]"))
    return rows


def _refuse_duplicates(rows: Sequence[Row], *, fold: bool) -> None:
    seen: set[str] = set()
    twice = []
    for row in rows:
        identifier = str(row["id"]).strip()
        key = identifier.lower() if fold else identifier
        if key in seen:
            twice.append(key)
        seen.add(key)
    if twice:
        raise Refused(duplicate_ids(twice))
