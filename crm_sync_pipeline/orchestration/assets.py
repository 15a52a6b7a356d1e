"""What the catalogue shows of a destination: its contacts, and the queue before it. Runs and the sensor fill them."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import dagster as dg

from crm_sync_pipeline.contact_queue.reading.figures import COUNTED_UP_TO, Failure
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.errors import CrmSyncError

FAILURES_SHOWN = 50

LOOKS_AT_QUEUE_EVERY = timedelta(minutes=1)
"""How often the sensor counts, where it starts no run."""


def contacts_key(destination: str) -> dg.AssetKey:
    """The asset of what a destination holds."""
    return dg.AssetKey([destination, "contacts"])


def queue_key(destination: str) -> dg.AssetKey:
    """The asset of what waits for a destination."""
    return dg.AssetKey([destination, "contact_queue"])


def build_assets(destination: HttpDestination, owner: str) -> list[dg.AssetSpec]:
    """The assets `<destination>/contacts` and `<destination>/contact_queue`; nothing materializes them by itself."""
    name, title = destination.name, destination.title
    return [
        dg.AssetSpec(
            queue_key(name),
            description=f"Contacts that a person selected for {title}. The sensor notes how many are due, wait for a "
            f"retry, are on hold, in Error or Processing, and how late the oldest is, whenever that has changed. "
            f"Each is counted up to {COUNTED_UP_TO:,}.",
            group_name=name,
            owners=[owner],
            kinds={"postgres"},
            tags={"crm_sync/destination": name},
        ),
        dg.AssetSpec(
            contacts_key(name),
            deps=[queue_key(name)],
            description=f"Contacts as {title} holds them. Each run that delivers some adds its result, how fast "
            "it was, and which contacts failed; the plots show it over time.",
            group_name=name,
            owners=[owner],
            kinds={name},
            tags={"crm_sync/destination": name},
        ),
    ]


def delivered(
    destination: str, numbers: Mapping[str, Any], failures: Sequence[Failure]
) -> dg.AssetMaterialization | dg.AssetObservation:
    """What a run adds to `<destination>/contacts`: a materialization if anything got there, else an observation."""
    event = dg.AssetMaterialization if numbers["synced"] else dg.AssetObservation
    metadata = dict(numbers)
    if failures:
        metadata["failures"] = failures_table(failures)
        metadata["failures_not_shown"] = max(0, numbers["failed"] + numbers["rejected"] - len(failures))
    return event(contacts_key(destination), metadata=metadata)


def failures_table(failures: Sequence[Failure]) -> dg.TableMetadataValue:
    """The contacts by their ids, and nothing else that is theirs."""
    columns = {"contact": "string", "reason": "string", "attempt": "int", "next_retry": "string"}
    rows = [(str(each.contact_id), each.reason, each.number, _next_retry(each)) for each in failures]
    records = [dg.TableRecord(dict(zip(columns, row, strict=True))) for row in rows]
    schema = dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in columns.items()])
    return dg.MetadataValue.table(records, schema)


_NO_RETRY_WAITED_FOR: Mapping[str | None, str] = {
    "Queued": "now",
    "Processing": "in progress",
    "Error": "none: in Error",
    "Complete": "none: delivered since",
}


def _next_retry(failure: Failure) -> str:
    if failure.next_retry_at:
        return f"{failure.next_retry_at:%Y-%m-%d %H:%M:%S} UTC"
    return _NO_RETRY_WAITED_FOR.get(failure.state, "none: not wanted any more")


def observed(
    database: Database, destination: str, cursor: str | None, *, at_once: bool
) -> tuple[list[dg.AssetObservation], str | None]:
    """The queue where it has changed since it was observed last, and the sensor's new cursor.

    It is counted once a minute, or `at_once`. Where it can't be, because of the database, nothing is observed.
    """
    seen = _seen(cursor)
    if not at_once and time.time() - seen.get("looked_at", 0) < LOOKS_AT_QUEUE_EVERY.total_seconds():
        return [], cursor
    try:
        figures = asdict(database.ask(destination, lambda queue: queue.figures.now()))
    except CrmSyncError:
        return [], json.dumps({**seen, "looked_at": time.time()})
    figures["lag_seconds"] = round(figures["lag_seconds"] or 0.0, 1)
    is_new = figures != seen.get("figures")
    events = [dg.AssetObservation(queue_key(destination), metadata=figures)] if is_new else []
    return events, json.dumps({"looked_at": time.time(), "figures": figures})


def _seen(cursor: str | None) -> dict[str, Any]:
    try:
        seen = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return seen if isinstance(seen, dict) else {}
