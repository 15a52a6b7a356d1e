"""A Mautic simulator and the destination that points at it, for each test."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest

from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.destinations.mautic.destination import Mautic
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.delivered import NEVER, Delivered
from crm_sync_pipeline.simulators.mautic import DEFAULT_CLIENT, DEFAULT_SECRET, MauticSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator, running


@pytest.fixture(scope="session")
def mautic_served() -> Iterator[tuple[MauticSimulator, RunningSimulator]]:
    simulator = MauticSimulator()
    with running(simulator.app) as server:
        yield simulator, server


@pytest.fixture
def instance(mautic_served: tuple[MauticSimulator, RunningSimulator]) -> MauticSimulator:
    simulator, _ = mautic_served
    simulator.heal()
    simulator.reset()
    return simulator


@pytest.fixture
def mautic(instance: MauticSimulator, mautic_served: tuple[MauticSimulator, RunningSimulator]) -> Mautic:
    _ = instance
    return Mautic(
        base_url=mautic_served[1].base_url,
        client_id=DEFAULT_CLIENT,
        client_secret=DEFAULT_SECRET,
        timeout_seconds=10,
        requests_per_second=1000,
    )


def person(number: int, **fields: Any) -> Contact:
    return Contact(UUID(int=number), **{"email": f"p{number}@example.com", "name": f"Ann Number{number}", **fields})


Deliver = Callable[..., list[Attempt]]


def deliver(destination: Mautic, contacts: Sequence[Contact], before: Delivered = NEVER) -> list[Attempt]:
    """One attempt at each, in one request where they have one route, with all that follows it; in their order."""
    ended: dict[UUID, Attempt] = {}

    async def work() -> None:
        async with destination.client() as client:
            prepared = [destination.prepare(contact, before) for contact in contacts]
            ended.update({each.contact_id: each for each in prepared if isinstance(each, Attempt)})
            records = [each for each in prepared if isinstance(each, Record)]
            while records:
                group = [each for each in records if each.route == records[0].route]
                result = await destination.send(client, group)
                assert not result.is_split, "the test is to send what is not refused as a whole"
                following = []
                for record, attempt in zip(group, result.attempts, strict=True):
                    after = destination.next_request(record, attempt.outcome)
                    if after:
                        following.append(after)
                    else:
                        ended[attempt.contact_id] = attempt
                records = [each for each in records if each not in group] + following

    asyncio.run(work())
    return [ended[contact.id] for contact in contacts]
