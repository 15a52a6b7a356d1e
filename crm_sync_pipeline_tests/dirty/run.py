"""Dirty rows through the whole product: real PostgreSQL, real Dagster runs, the simulator over HTTP."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import dagster as dg
import httpx

from crm_sync_pipeline.destinations import CRMS, DESTINATIONS
from crm_sync_pipeline.domain.explanation import Explanation, explain
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY
from crm_sync_pipeline.simulators.request_log import LoggedRequest
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.dirty.generator import Dirty, Row
from crm_sync_pipeline_tests.dirty.phones import REGION
from crm_sync_pipeline_tests.product import Product

BATCH_SIZE = 200
MAX_RUNS = 100
RETRY_MINUTES = 30
"""Longer than any wait between two attempts."""

MAX_RETRIES = 3

LOOSEN = """
-- Columns as a scraper makes them: an address may be missing, and has_gmail says yes in any language.
ALTER TABLE contacts ALTER email DROP NOT NULL, ALTER has_gmail DROP DEFAULT,
    ALTER has_gmail TYPE text USING has_gmail::text;
"""
_INSERT = """
INSERT INTO contacts (id, email, name, phone_number, has_gmail, domain_id, page_id, source_url, updated_at,
                      brevo_sync_status, brevo_processing_status)
VALUES (%(id)s, %(email)s, %(name)s, %(phone)s, %(gmail)s, %(id)s, %(id)s, %(url)s, now() + %(place)s * interval '1 ms'
        - interval '1 hour', %(status)s, %(state)s)
"""
_STATES = "SELECT id, brevo_sync_status, brevo_processing_status, brevo_processing_error FROM contacts"
_ATTEMPTS = "SELECT contact_id, number, outcome, reason FROM crm_sync.attempts ORDER BY attempted_at, number"


@dataclass(frozen=True)
class StoredContact:
    """A contact that the simulator has. An attribute that was emptied counts as none."""

    attributes: Mapping[str, Any]
    is_blocklisted: bool


@dataclass(frozen=True)
class Evidence:
    """What was found in the end: in the table, in the journal, at Brevo, in its log, and what people are told."""

    states: Mapping[UUID, tuple[str, str | None, str | None]]
    attempts: Mapping[UUID, Sequence[tuple[str, str]]]
    answers: Mapping[UUID, Explanation]
    requests: Sequence[LoggedRequest]
    stored: Mapping[str, StoredContact]
    numbers_left_out: int
    runs: int
    red_runs: int

    def ends(self, rows: Iterable[Row]) -> dict[int, tuple[object, ...]]:
        """How each row ended: statuses, error text and every attempt."""
        return {row.number: (*self.states[row.id], *self.attempts.get(row.id, ())) for row in rows}


class Dirt:
    """One installation with dirty rows in it."""

    def __init__(self, product: Product, brevo_url: str) -> None:
        self._product = product
        self._world: World = product.world
        self._brevo_url = brevo_url
        self._numbers_left_out = self._runs = self._red_runs = 0

    def load(self, dirty: Dirty) -> None:
        """Fill the table, and Brevo with those who are there before."""
        self._product.set(BREVO_PHONE_REGION=REGION)
        self._world.script(LOOSEN)
        values = [
            {
                "id": row.id,
                "email": row.email,
                "name": row.name,
                "phone": row.phone_number,
                "gmail": row.has_gmail,
                "url": row.source_url,
                "place": place,
                "status": row.status,
                "state": "Queued" if row.status == "Selected" else None,
            }
            for place, row in enumerate(dirty.rows)
        ]
        with self._world.engine.begin() as connection:
            for table in ("domains", "pages"):
                connection.exec_driver_sql(f"INSERT INTO {table} (id) VALUES (%(id)s)", values)
            connection.exec_driver_sql(_INSERT, values)
        for stranger in dirty.strangers:
            sent = {
                "email": stranger.address,
                "attributes": dict(stranger.attributes),
                "emailBlacklisted": stranger.is_blocklisted,
            }
            url, key = f"{self._brevo_url}/contacts", {"api-key": DEFAULT_KEY}
            assert httpx.post(url, json=sent, headers=key, trust_env=False).status_code == 201
        self._product.simulator.requests.clear()

    def change(self, rows: Sequence[Row]) -> None:
        """Let somebody edit these rows, and select them again."""
        for row in rows:
            self._world.execute(
                "UPDATE contacts SET email = :email, name = :name, phone_number = :phone WHERE id = :id",
                email=row.email,
                name=row.name,
                phone=row.phone_number,
                id=row.id,
            )
        self._world.select(*(row.id for row in rows))

    def deliver(self) -> None:
        """Run the job until nothing waits. Time passes where all that waits waits for a retry."""
        queue = self._world.queue()
        while self._waiting():
            if not queue.depth(limit=1):
                self._product.pass_minutes(RETRY_MINUTES)
            if self._runs == MAX_RUNS:
                raise AssertionError(f"{self._waiting()} contacts still wait after {MAX_RUNS} runs")
            result = self._product.run(batch_size=BATCH_SIZE)
            self._runs += 1
            self._red_runs += not result.success
            self._numbers_left_out += _numbers_left_out(result)

    def _waiting(self) -> int:
        count: int = self._world.value(
            "SELECT count(*) FROM contacts WHERE brevo_processing_status IN ('Queued', 'Processing')"
        )
        return count

    def found(self) -> Evidence:
        """What there is now."""
        report = self._world.database.report()
        states = {UUID(str(row["id"])): tuple(row.values())[1:] for row in self._world.rows(_STATES)}
        attempts: dict[UUID, list[tuple[str, str]]] = {}
        for row in self._world.rows(_ATTEMPTS):
            attempts.setdefault(row["contact_id"], []).append((row["outcome"], row["reason"]))
        simulator = self._product.simulator
        return Evidence(
            states={each: (state[0], state[1], state[2]) for each, state in states.items()},
            attempts=attempts,
            answers={
                each: explain(report.facts(CRMS["brevo"], each, MAX_RETRIES), DESTINATIONS["brevo"].remedies)
                for each in states
            },
            requests=tuple(simulator.requests),
            stored={
                str(contact.email): StoredContact(
                    {name: value for name, value in contact.attributes.items() if value != ""},
                    contact.email_blacklisted,
                )
                for contact in simulator.contacts.values()
            },
            numbers_left_out=self._numbers_left_out,
            runs=self._runs,
            red_runs=self._red_runs,
        )


def _numbers_left_out(result: dg.ExecuteInProcessResult) -> int:
    for event in result.all_events:
        if event.event_type is dg.DagsterEventType.STEP_OUTPUT and event.step_key == "record_results":
            value = event.step_output_data.metadata["numbers_left_out"].value
            assert isinstance(value, int)
            return value
    return 0


def body_of(request: LoggedRequest) -> Mapping[str, Any]:
    """The JSON that a request carried; empty where there was none."""
    body: Mapping[str, Any] = json.loads(request.body) if request.body else {}
    return body
