"""What runs every few seconds walks an index, however the table stands, by PostgreSQL's own plan and a generic one."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.statements import ask, claim, settle
from crm_sync_pipeline.contact_queue.statements.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.tables import CRMS
from crm_sync_pipeline_tests.builders import World

ROWS = 50_000
STATES = {
    "everything queued": "brevo_sync_status = 'Selected', brevo_processing_status = 'Queued'",
    "everything waiting for a retry": (
        "brevo_sync_status = 'Queued', brevo_processing_status = 'Queued', retry_count = 1, "
        "next_retry_at = now() + interval '1 h', last_failed_crm = 'brevo'"
    ),
    "everything delivered": "brevo_sync_status = 'Complete', brevo_processing_status = 'Complete'",
    "nothing selected": "brevo_sync_status = 'New', brevo_processing_status = NULL",
}


@pytest.fixture(scope="module", params=STATES)
def standing(module_world: World, request: pytest.FixtureRequest) -> World:
    """Fifty thousand contacts in one state, with their deliveries, as they would be; statistics are up to date."""
    state: str = request.param
    world = module_world
    world.script("TRUNCATE contacts, crm_sync.deliveries")
    world.add_many(ROWS)
    with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"UPDATE contacts SET {STATES[state]}")  # one of those above
        if "retry" in state or "delivered" in state:
            connection.exec_driver_sql(
                "INSERT INTO crm_sync.deliveries (contact_id, destination, retry_count, next_retry_at) "
                "SELECT id, 'brevo', retry_count, next_retry_at FROM contacts"
            )
        connection.exec_driver_sql("VACUUM ANALYZE contacts, crm_sync.deliveries")
    return world


def statements(world: World) -> dict[str, tuple[sa.Executable, Mapping[str, Any]]]:
    columns = DestinationColumns.of(world.database.contacts(), CRMS["brevo"])
    token, lease = uuid4(), {"lease_seconds": 300.0}
    ids: list[UUID] = [uuid4() for _ in range(20)]
    wanted, unwanted = settle.honour_decisions(columns)
    return {
        "the sensor's depth": (ask.due_now(columns), {"limit": 10_000}),
        "the sensor's look at dead runs": (ask.left_behind(columns), lease),
        "claim: lock what is due": (claim.lock_due(columns), {"size": 500}),
        "claim: mark it": (claim.mark_claimed(columns), {"ids": ids, "token": token, "run_id": "r", **lease}),
        "read the claimed": (claim.contacts_of(columns), {"token": token}),
        "settle: lock the held": (settle.lock_held(columns), {"token": token, "size": 1000}),
        "recover: lock the expired": (settle.lock_expired(columns), {"size": 1000}),
        "recover: release the abandoned": (settle.release_abandoned(columns), lease),
        "recover: honour what is wanted": (wanted, {"ids": [], **lease}),
        "recover: honour what is not": (unwanted, {"ids": [], **lease}),
    }


NAMES = [
    "the sensor's depth",
    "the sensor's look at dead runs",
    "claim: lock what is due",
    "claim: mark it",
    "read the claimed",
    "settle: lock the held",
    "recover: lock the expired",
    "recover: release the abandoned",
    "recover: honour what is wanted",
    "recover: honour what is not",
]


def nodes(plan: Any) -> Iterator[dict[str, Any]]:
    """Every node of a plan, whichever way it is nested."""
    if isinstance(plan, dict):
        if "Node Type" in plan:
            yield plan
        for part in plan.values():
            yield from nodes(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from nodes(part)


def explained(world: World, statement: sa.Executable, parameters: Mapping[str, Any], how: str) -> list[dict[str, Any]]:
    compiled = statement.compile(dialect=world.engine.dialect)  # type: ignore[attr-defined] # every Executable has it
    prefix = f"EXPLAIN ({how}FORMAT JSON) "
    with world.engine.connect() as connection:
        if "GENERIC_PLAN" in how:
            order: dict[str, int] = {}
            text = re.sub(
                r"%\((\w+)\)s", lambda match: f"${order.setdefault(match[1], len(order) + 1)}", str(compiled)
            ).replace("%%", "%")
            plan = connection.exec_driver_sql(prefix + text).scalar_one()
        else:
            values = compiled.construct_params(dict(parameters))
            plan = connection.exec_driver_sql(prefix + str(compiled), values).scalar_one()
        connection.rollback()
    return list(nodes(json.loads(plan) if isinstance(plan, str) else plan))


@pytest.mark.parametrize("how", ["", "GENERIC_PLAN, "], ids=["own plan", "generic plan"])
@pytest.mark.parametrize("name", NAMES)
def test_the_contacts_table_is_never_read_from_end_to_end(standing: World, name: str, how: str) -> None:
    statement, parameters = statements(standing)[name]
    read_whole = [
        node
        for node in explained(standing, statement, parameters, how)
        if node["Node Type"] == "Seq Scan" and node.get("Relation Name") == "contacts"
    ]
    assert read_whole == []


def test_what_waits_for_a_retry_is_not_even_looked_at(module_world: World) -> None:
    world = module_world
    world.script("TRUNCATE contacts, crm_sync.deliveries")
    world.add_many(ROWS)
    with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(
            f"UPDATE contacts SET {STATES['everything waiting for a retry']}"  # one of those above
        )
        connection.exec_driver_sql("VACUUM ANALYZE contacts, crm_sync.deliveries")
    for name in ("the sensor's depth", "claim: lock what is due"):
        statement, parameters = statements(world)[name]
        plan = explained(world, statement, parameters, "ANALYZE, BUFFERS, ")
        assert max(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in plan) < 50
        assert sum(node.get("Rows Removed by Filter", 0) for node in plan) == 0


def test_every_statement_named_here_is_explained(module_world: World) -> None:
    assert list(statements(module_world)) == NAMES
