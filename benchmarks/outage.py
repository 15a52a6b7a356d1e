"""HubSpot is down for an hour: what Brevo's contacts, their retries and their speed notice of it.

Three installations live through the same hundred minutes side by side, minute by minute: one delivers to Brevo alone,
one to HubSpot as well, and in the third HubSpot answers 503 for the first hour. In that hour, contacts are selected
every minute; Brevo and HubSpot refuse one in fifty, which is tried again as its retries say. An hour takes a minute:
PostgreSQL's clock is the only one that decides anything, and every time that is stored is moved back.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from benchmarks.people import load_people
from benchmarks.site import BenchmarkError, databases
from benchmarks.throughput import Say
from crm_sync_pipeline.contact_queue.people.acts import Actor
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.destinations.hubspot.destination import Hubspot
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY as BREVO_KEY
from crm_sync_pipeline.simulators.brevo import PLANS as BREVO_PLANS
from crm_sync_pipeline.simulators.brevo import BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.hubspot import DEFAULT_KEY as HUBSPOT_KEY
from crm_sync_pipeline.simulators.hubspot import PLANS as HUBSPOT_PLANS
from crm_sync_pipeline.simulators.hubspot import HubspotConfig, HubspotSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World

ALONE, UP, DOWN = "Brevo alone", "HubSpot up", "HubSpot down for an hour"
HOUR, MINUTES, STEP = 60, 100, 1
"""The last forty minutes are for the retries that are still to come, and for HubSpot to catch up."""

ONE_BAD_IN = 50
BATCH_SIZE = 1000
_NEW_ATTEMPTS = """
SELECT a.id, c.phone_number, a.outcome, a.reason
FROM crm_sync.attempts a JOIN contacts c ON c.id = a.contact_id
WHERE a.destination = 'brevo' AND a.id > :last ORDER BY a.id
"""


@dataclass
class Installation:
    """One of the three. `attempts` has of each attempt at Brevo: whose, in which minute, what came of it."""

    name: str
    world: World
    brevo: Brevo
    hubspot: Hubspot
    hubspot_simulator: HubspotSimulator
    contacts: Sequence[UUID]
    seconds: float = 0.0
    hubspot_empty_in: int | None = None
    attempts: list[tuple[str, int, str, str]] = field(default_factory=list)
    _last: int = 0

    def __post_init__(self) -> None:
        self._database: Database = self.world.database
        self.crms = ["brevo"] if self.name == ALONE else ["brevo", "hubspot"]

    def live(self, minute: int, new: Sequence[UUID]) -> None:
        """Live through what is due in one minute, and through the time until the next one that is looked at."""
        if minute == 0 and self.name == DOWN:
            self.hubspot_simulator.inject("status-503")
        if minute == HOUR:
            self.hubspot_simulator.heal()
        if new:
            self._database.acts(Actor("benchmark")).carry_out("select", Which(new), self.crms)
        if self.name != ALONE:
            self._run(self.hubspot)
        started = time.monotonic()
        self._run(self.brevo)
        self.seconds += time.monotonic() - started
        for row in self.world.rows(_NEW_ATTEMPTS, last=self._last):
            self._last = row["id"]
            self.attempts.append((row["phone_number"], minute, row["outcome"], row["reason"]))
        if self.hubspot_empty_in is None and minute >= HOUR and not self.unfinished("hubspot"):
            self.hubspot_empty_in = minute - HOUR
        self.world.pass_time(timedelta(minutes=STEP))

    def _run(self, destination: HttpDestination) -> None:
        queue = self._database.queue(destination.name)
        batch = queue.claim(BATCH_SIZE, run_id="benchmark")
        if batch.size:
            deliver_batch(queue, destination, batch, "benchmark")
            queue.settle(batch.token)

    def unfinished(self, crm: str) -> int:
        """How many contacts are still in the queue."""
        return self._count(crm, "Queued", "Processing")

    def in_error(self, crm: str) -> int:
        """How many contacts ended in Error."""
        return self._count(crm, "Error")

    def _count(self, crm: str, *statuses: str) -> int:
        column = sa.column(CRMS[crm].processing_status, sa.Text)
        query = sa.select(sa.func.count()).select_from(sa.table("contacts")).where(column.in_(statuses))
        with self.world.engine.connect() as connection:
            return connection.execute(query).scalar_one()


def outage(say: Say, contacts_a_step: int = 100) -> list[dict[str, Any]]:
    """One row for each installation. BenchmarkError where Brevo's attempts differ between them in anything."""
    with ExitStack() as parts:
        installations = list(_installations(parts, contacts_a_step * HOUR // STEP))
        for step in range(MINUTES // STEP):
            for each in installations:
                each.live(step * STEP, each.contacts[step * contacts_a_step : (step + 1) * contacts_a_step])
        rows = [_row(each) for each in installations]
        for each in installations[1:]:
            if sorted(each.attempts) != sorted(installations[0].attempts):
                raise BenchmarkError(f"{each.name}: Brevo's attempts are not those of '{ALONE}'.")
    for row in rows:
        say(f"{row['title']}: {row['contacts_a_second']:.0f} contacts per second to Brevo, {row['retries']} retries")
    return rows


def _installations(parts: ExitStack, contacts: int) -> Iterator[Installation]:
    copies = parts.enter_context(databases())
    for name in (ALONE, UP, DOWN):
        world = World(parts.enter_context(copies.with_selected(0)))
        ids = load_people(world.engine, contacts, selected=False)
        world.execute("UPDATE contacts SET email = 'no address ' || id WHERE id = ANY(:ids)", ids=ids[::ONE_BAD_IN])
        brevo = BrevoSimulator(BrevoConfig(limits=BREVO_PLANS["unlimited"]))
        hubspot = HubspotSimulator(HubspotConfig(limits=HUBSPOT_PLANS["unlimited"]))
        brevo_url = parts.enter_context(running(brevo.app)).base_url
        hubspot_url = parts.enter_context(running(hubspot.app)).base_url
        yield Installation(
            name,
            world,
            Brevo(base_url=f"{brevo_url}/v3", api_key=BREVO_KEY, requests_per_second=10_000),
            Hubspot(base_url=hubspot_url, api_key=HUBSPOT_KEY, requests_per_second=10_000),
            hubspot,
            ids,
        )


def _row(each: Installation) -> dict[str, Any]:
    if unfinished := each.unfinished("brevo") + each.unfinished("hubspot"):
        raise BenchmarkError(f"{each.name}: {unfinished} contacts are unfinished after {MINUTES} minutes.")
    return {
        "title": each.name,
        "contacts": len(each.contacts),
        "attempts": len(each.attempts),
        "retries": len(each.attempts) - len({whose for whose, *_ in each.attempts}),
        "brevo_errors": each.in_error("brevo"),
        "seconds": each.seconds,
        "contacts_a_second": len(each.attempts) / each.seconds,
        "hubspot_requests": each.hubspot_simulator.requests.total,
        "hubspot_errors": each.in_error("hubspot"),
        "refused": len(each.contacts[::ONE_BAD_IN]),
        "hubspot_empty_in_minutes": each.hubspot_empty_in,
    }
