"""A HubSpot account on this machine, contacts that are selected for it, and one run after another."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS
from crm_sync_pipeline.destinations.hubspot.destination import Hubspot
from crm_sync_pipeline.domain.batch import Tally
from crm_sync_pipeline.domain.explanation import Explanation, explain
from crm_sync_pipeline.simulators.hubspot import DEFAULT_KEY, PLANS, HubspotConfig, HubspotSimulator
from crm_sync_pipeline.simulators.server import running
from crm_sync_pipeline_tests.builders import World


class Account:
    """One simulated account, and the contacts table beside it."""

    def __init__(self, world: World, simulator: HubspotSimulator, hubspot: Hubspot) -> None:
        self.world, self.simulator, self.hubspot = world, simulator, hubspot

    def add(self, *emails: str, **columns: Any) -> list[UUID]:
        """Contacts that are selected for HubSpot."""
        ids = self.world.add(*emails, selected=False, **columns)
        self.world.select(*ids, crms=("hubspot",))
        return ids

    def change(self, contact: UUID, **columns: Any) -> None:
        """Change a row, and select it again."""
        sets = ", ".join(f"{name} = :{name}" for name in columns)
        self.world.execute(f"UPDATE contacts SET {sets} WHERE id = :id", id=contact, **columns)
        self.world.select(contact, crms=("hubspot",))

    def run(self, **changes: Any) -> Tally:
        """One run of the engine over what is due."""
        queue = self.world.queue("hubspot")
        batch = queue.claim(10_000)
        tally = deliver_batch(queue, self.hubspot.model_copy(update=changes), batch)
        queue.settle(batch.token)
        return tally

    def status(self, contact: UUID) -> str | None:
        return self.world.status(contact, "hubspot")[1]

    def error(self, contact: UUID) -> str:
        return self.world.contact(contact)["hubspot_processing_error"] or ""

    def remote_id(self, contact: UUID) -> str:
        """HubSpot's id, as the user sees it and as we keep it."""
        shown: str = self.world.contact(contact)["hubspot_contact_id"]
        assert shown == self.world.delivery(contact, "hubspot")["remote_id"]
        return shown

    def verdict(self, contact: UUID) -> Explanation:
        return explain(
            self.world.database.report().facts(CRMS["hubspot"], contact, 3), DESTINATIONS["hubspot"].remedies
        )

    def edit(self, contact_id: str, **properties: str) -> None:
        """What a person does at HubSpot, who may write what the API may not."""
        account = self.simulator.account
        contact = account.contacts[contact_id]
        account.save(type(contact)(contact.id, {**contact.properties, **properties}, contact.created_at, account.now()))

    def steps(self) -> list[tuple[str, int]]:
        """What was asked: the last part of each path, and how many contacts it was about."""
        return [(each.path.rpartition("/")[2], len(each.emails)) for each in self.simulator.requests]


Open = Callable[..., Account]


@pytest.fixture
def open_account(world: World) -> Iterator[Open]:
    """Open an account of this kind; `changes` are to the destination."""
    with ExitStack() as stack:

        def start(
            config: HubspotConfig | None = None, simulator: HubspotSimulator | None = None, **changes: Any
        ) -> Account:
            made = simulator or HubspotSimulator(config or HubspotConfig(limits=PLANS["unlimited"]))
            server = stack.enter_context(running(made.app))
            settings = {"api_key": DEFAULT_KEY, "requests_per_second": 1000, "concurrency": 2, **changes}
            return Account(world, made, Hubspot(base_url=server.base_url, **settings))

        yield start


@pytest.fixture
def account(open_account: Open) -> Account:
    return open_account()


def addresses_of(requests: Sequence[Any]) -> list[str]:
    return [address for each in requests for address in each.emails]
