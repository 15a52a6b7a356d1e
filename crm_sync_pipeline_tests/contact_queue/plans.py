"""Every statement that runs while contacts are delivered, and PostgreSQL's plan for it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.bulk import adopt_sql, candidates_sql, imports_sql
from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns, as_rows
from crm_sync_pipeline.contact_queue.people import chosen_sql, decide_sql, hold_sql, prune_sql
from crm_sync_pipeline.contact_queue.people.filter_sql import matching
from crm_sync_pipeline.contact_queue.reading import counting_sql, figures_sql, report_sql
from crm_sync_pipeline.contact_queue.worker import (
    aside_sql,
    blame_sql,
    claim_sql,
    delivered_sql,
    due_sql,
    forget_sql,
    journal_sql,
    settle_sql,
)
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.contact_filter import ContactFilter
from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus
from crm_sync_pipeline_tests.builders import World

OWN, GENERIC = "", "GENERIC_PLAN, "
"""PostgreSQL's plan for these parameters, and the one for any, which a prepared statement may get."""

_LARGE = """
    SELECT relname FROM pg_class
    WHERE relname IN ('contacts', 'deliveries', 'attempts') AND pg_relation_size(oid) > 100 * 8192
"""

Statement = tuple[sa.Executable, Mapping[str, Any]]


def failed_lately(columns: DestinationColumns) -> sa.ColumnElement[bool]:
    return matching(columns, ContactFilter(reasons=("http_503",), failed_since=timedelta(hours=1)))


def statements(world: World) -> dict[str, Statement]:
    columns = DestinationColumns.of(world.database.contacts(), CRMS["brevo"])
    ids: list[UUID] = [uuid4() for _ in range(200)]
    token, lease, size, some = {"token": uuid4()}, {"lease_seconds": 300.0}, {"size": 1000}, {"ids": ids}
    places = {"places": [f"({page},1)" for page in range(200)]}
    done = as_rows("done", ({"contact_id": each, "outcome": "synced"} for each in ids))
    refused = as_rows("refused", ({"contact_id": each, "message": "no"} for each in ids))
    settled = as_rows("settled", ({"id": each, "token": ids[0]} for each in ids))
    chunk = {"first": UUID(int=0), "behind": UUID(int=2**128 // 200), **size}  # of a million, 5000
    wanted, unwanted = settle_sql.honour_decisions(columns)
    late = {"late_contact": ids[0], "sent_late": "a"}
    found: dict[str, Statement] = {
        "sensor: depth": (due_sql.due_now(columns), {"limit": 10_000}),
        "sensor: work for a run": (due_sql.work_for_a_run(columns), {"limit": 10_000, **lease}),
        "sensor: work for runs": (due_sql.work_for_runs((columns,)), {"limit": 10_000, **lease}),
        "sensor: is anything left behind": (due_sql.left_behind(columns), lease),
        "sensor: a run's live claim": (due_sql.live_claim_of_run("brevo"), {"run_id": "r"}),
        "sensor: figures": (figures_sql.standing(columns), {"limit": 10_000}),
        "check: ended lately": (figures_sql.ended_lately(columns), {"limit": 1000}),
        "check: first due": (figures_sql.first_due(columns), {"limit": 1000}),
        "check: delivered lately": (figures_sql.delivered_lately(columns), {"limit": 1000}),
        "status: the next retry": (figures_sql.next_retry(columns), {}),
        "sensor: the lease that ran out first": (figures_sql.longest_expired(columns), lease),
        "blame: the last attempt": (blame_sql.earlier_refusal("brevo"), {"id": ids[0]}),
        "failures of a run": (figures_sql.failures_of(columns), {"tokens": ids[:2], "limit": 50}),
        "claim: look for the token": (claim_sql.claimed_by("brevo"), token),
        "claim: lock what is due": (claim_sql.lock_due(columns), {"size": 500}),
        "claim: lock one": (claim_sql.lock_one(columns), {"id": ids[0]}),
        "claim: mark it": (claim_sql.mark_claimed(columns), {"run_id": "r", **places, **some, **token, **lease}),
        "claim: find what took no update": (aside_sql.not_marked(columns), some | token),
        "claim: put aside": (
            aside_sql.put_aside("brevo"),
            {"of_run": "r", "aside": ids[0], **refused, **token, **lease},
        ),
        "claim: end what is aside": (aside_sql.end_aside("brevo"), {"id": ids[0]}),
        "read the claimed": (claim_sql.contacts_of(columns), token),
        "read what was delivered last": (delivered_sql.delivered_before(columns), {"everything": False, **token}),
        "journal": (journal_sql.write_down(columns), {"of_run": "r", "look": True, **done, **token, **lease}),
        "journal: note a late call": (journal_sql.note_late_call("brevo"), late),
        "journal: note late fields": (
            journal_sql.note_late_fields("brevo"),
            {"late_contact": ids[0], "late_fields": "SMS"},
        ),
        "journal: send again": (journal_sql.send_again(columns), late),
        "settle: lock what is claimed": (settle_sql.lock_claimed(columns), {"first": UUID(int=0), **token, **size}),
        "settle: read the journal": (settle_sql.attempts_of("brevo"), {"tokens": ids[:2], **some}),
        "settle: write both": (
            settle_sql.settle_both(columns, SyncStatus.Complete, ProcessingStatus.Complete),
            settled,
        ),
        "settle: write deliveries": (settle_sql.settle_deliveries("brevo"), settled),
        "settle: honour what is wanted": (wanted, some),
        "settle: honour what is not": (unwanted, some),
        "settle: honour what is queued": (settle_sql.honour_queued(columns), some),
        "settle: put aside": (settle_sql.put_aside("brevo"), some | token | lease),
        "settle: forget the deleted": (forget_sql.forget_deleted(columns), token),
        "recover: lock the expired": (settle_sql.lock_expired(columns), size),
        "recover: the stranded": (settle_sql.recover_stranded(columns), size | lease),
        "recover: forget the deleted": (forget_sql.forget_deleted_and_expired(columns), size),
        "settle: unclaim the hidden": (forget_sql.forget_deleted(replace(columns, hides_rows=True)), token),
        "recover: unclaim the hidden": (
            forget_sql.forget_deleted_and_expired(replace(columns, hides_rows=True)),
            size,
        ),
        "select": (decide_sql.select(columns), some),
        "unselect": (decide_sql.unselect(columns), some),
        "requeue": (decide_sql.requeue(columns), some),
        "hold": (hold_sql.hold(columns), some),
        "hold: shelve": (hold_sql.shelve(columns), some),
        "hold: when selected again": (hold_sql.keep_fresh_start(columns), some),
        "release: unshelve": (hold_sql.unshelve(columns), some),
        "release": (hold_sql.release("brevo"), some),
        "decide: lock": (chosen_sql.named(columns, {"meant": hold_sql.is_on_hold(columns)}), some),
        "decide for all: find the end": (chosen_sql.end_of_chunk(columns), chunk),
        "explain": (report_sql.delivery_of(columns), {"id": ids[0]}),
        "explain: history": (report_sql.history_of("brevo"), {"id": ids[0]}),
    }
    history = {"after": 0, "days": 90, "size": 100}  # of a million, 5000
    found |= {
        "metrics: the newest that is sure": (counting_sql.newest_sure, {"after": 0}),
        "metrics: count what is new": (counting_sql.counts, {"after": 1000, "until": 2000}),
        "prune: attempts": (prune_sql.prune_attempts(columns, removes=True, removes_of_gone=True), history),
        "prune: deliveries": (prune_sql.prune_deliveries(columns, removes=True), {"after": UUID(int=0), "size": 100}),
        "forget: lock": (prune_sql.deliveries_of, {"id": ids[0]}),
        **{f"forget: {index}": (each, {"id": ids[0]}) for index, each in enumerate(prune_sql.forget_contact)},
    }
    found |= _of_imports(columns)
    for which in (
        decide_sql.is_new,
        decide_sql.is_wanted_still,
        decide_sql.has_failed,
        hold_sql.is_on_hold,
        failed_lately,
    ):
        found[f"decide for all: {which.__name__}"] = (
            chosen_sql.chunk(columns, {"meant": which(columns)}, is_last=False),
            chunk,
        )
    return found


def _of_imports(columns: DestinationColumns) -> dict[str, Statement]:
    ids: list[UUID] = [uuid4() for _ in range(200)]
    the_import, token, run = {"the_import": ids[0]}, {"token": ids[1]}, {"by_run": "r"}
    results = {"results": "{}", "others_outcome": "synced", "others_reason": "imported", "others_message": ""}
    entry = dict.fromkeys(("contact_hash", "payload_hash", "address_hash"), "a")
    entries = as_rows("entries", ({"contact_id": each, "message": "", **entry} for each in ids))
    some, lease = {"size": 5000}, {"lease_seconds": 300.0}
    return {
        "import: page of what may go": (
            candidates_sql.page(columns),
            {"after": UUID(int=0), "size": 2000, "everything": False, **token},
        ),
        "import: begin": (imports_sql.begin("brevo"), {"total": 200, "after_number": 1, **the_import, **token, **run}),
        "import: write down who": (imports_sql.add_entries(columns), {**entries, **the_import, **token}),
        "import: of a token": (imports_sql.of_token("brevo"), token),
        "import: note the process": (imports_sql.note_process("brevo"), {"number": 7, **the_import}),
        "import: processes of others": (imports_sql.processes_of_others("brevo"), {"after_number": 1, **the_import}),
        "import: lock": (imports_sql.lock("brevo"), the_import | token),
        "import: overtaken": (imports_sql.overtaken("brevo"), the_import | token),
        "import: count the known": (imports_sql.count_known("brevo"), {"hashes": ["a"], **the_import}),
        "import: journal some": (
            imports_sql.journal_some("brevo"),
            {"called": "process 7", **the_import, **token, **some, **run, **results},
        ),
        "import: is it empty": (imports_sql.is_empty("brevo"), the_import),
        "import: finish": (imports_sql.finish("brevo"), the_import),
        "import: remove entries": (imports_sql.remove_entries("brevo"), the_import),
        "adopt: lock what is left": (adopt_sql.lock_left_behind("brevo"), {}),
        "adopt: is it waited for": (adopt_sql.is_waited_for("brevo"), the_import),
        "adopt: lock contacts": (adopt_sql.lock_contacts(columns), the_import),
        "adopt: move": (
            adopt_sql.move_deliveries("brevo"),
            {"old_token": ids[2], **the_import, **token, **run, **lease},
        ),
        "adopt: wait": (adopt_sql.adopt("brevo"), the_import | token | run),
        "adopt: abandon": (adopt_sql.abandon("brevo"), token),
    }


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


def explained(connection: sa.Connection, statement: Statement, how: str) -> list[dict[str, Any]]:
    """The nodes of the plan; with "ANALYZE, " in `how` it is carried out, and rolled back."""
    executable, parameters = statement
    compiled = _compiled(executable, connection.dialect)
    prefix = f"EXPLAIN ({how}FORMAT JSON) "
    if how == GENERIC:
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


OF_ALL = ("contacts_crm_sync_brevo_processing_since", "deliveries_leases")
"""Indexes to walk. Looking one row up in them reads all that is claimed, for each."""


@lru_cache(maxsize=100)
def _compiled(executable: Any, dialect: sa.Dialect) -> Any:
    return executable.compile(dialect=dialect)


def read_whole(world: World) -> list[str]:
    """The statements that would read a large table, or for one row all that is claimed, and how they are planned."""
    found = []
    with world.engine.connect() as connection:
        large = set(connection.exec_driver_sql(_LARGE).scalars())
        for name, statement in statements(world).items():
            for how in (OWN, GENERIC):
                plan = explained(connection, statement, how)
                whole = {
                    node["Relation Name"]
                    for node in plan
                    if node["Node Type"] == "Seq Scan" and node["Relation Name"] in large
                }
                if not name.startswith(("sensor", "recover")):
                    whole |= {node["Index Name"] for node in plan if node.get("Index Name") in OF_ALL}
                found += [f"{name} reads {each} whole{' by a generic plan' * bool(how)}" for each in sorted(whole)]
    return found
