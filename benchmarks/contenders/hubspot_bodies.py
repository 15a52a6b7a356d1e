"""The batches that every contender without a database sends to HubSpot: a hundred rows, each with a trace id."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from benchmarks.people import people

MOST = 100
AFTER_429_SECONDS = 1.0
"""HubSpot does not say how long to wait."""


def batches(contacts: int) -> Iterator[list[dict[str, Any]]]:
    """The same values that the product sends of these people."""
    waiting = people(contacts)
    while batch := list(islice(waiting, MOST)):
        yield [
            {
                "id": person.email,
                "idProperty": "email",
                "objectWriteTraceId": person.domain_id,
                "properties": {
                    "firstname": person.name.partition(" ")[0],
                    "lastname": person.name.partition(" ")[2],
                    "phone": person.phone_number,
                    "scrapersky_domain_id": person.domain_id,
                    "scrapersky_page_id": person.page_id,
                    "scrapersky_sync_date": "2026-11-25",
                },
            }
            for person in batch
        ]
