"""Databases that refuse what a claim needs, or swallow it, and a clock that hours can be skipped on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from crm_sync_pipeline.contact_queue.database import transactions
from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.contact_queue.database.transactions import NO_PATIENCE
from crm_sync_pipeline.orchestration import alerts, run_results
from crm_sync_pipeline_tests.product import Product

RIGHTS = """
    CREATE ROLE {role} LOGIN;
    GRANT USAGE ON SCHEMA public, crm_sync TO {role};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, crm_sync TO {role};
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA crm_sync TO {role};
"""

NOTHING_HAPPENS = """
    CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
"""

POLICY = """
    ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;
    CREATE POLICY sees ON contacts FOR SELECT USING (true);
    CREATE POLICY changes ON contacts FOR UPDATE USING ({using}) WITH CHECK ({check});
"""


@dataclass(frozen=True)
class Refusal:
    """What was done to the database, and what undoes it."""

    does: str
    undoes: str


REFUSALS: Mapping[str, Refusal] = {
    "a read-only role": Refusal(
        "ALTER ROLE {role} SET default_transaction_read_only = on",
        "ALTER ROLE {role} RESET default_transaction_read_only",
    ),
    "no right to update contacts": Refusal(
        "REVOKE UPDATE ON contacts FROM {role}", "GRANT UPDATE ON contacts TO {role}"
    ),
    "no right to one column": Refusal(
        "REVOKE UPDATE ON contacts FROM {role}; GRANT UPDATE (updated_at) ON contacts TO {role}",
        "GRANT UPDATE ON contacts TO {role}",
    ),
    "no right to insert deliveries": Refusal(
        "REVOKE INSERT ON crm_sync.deliveries FROM {role}", "GRANT INSERT ON crm_sync.deliveries TO {role}"
    ),
    "no right to our schema": Refusal(
        "REVOKE USAGE ON SCHEMA crm_sync FROM {role}", "GRANT USAGE ON SCHEMA crm_sync TO {role}"
    ),
    "no right to read deliveries": Refusal(
        "REVOKE SELECT ON crm_sync.deliveries FROM {role}", "GRANT SELECT ON crm_sync.deliveries TO {role}"
    ),
    "a policy that hides rows from updates": Refusal(
        POLICY.format(using="false", check="true"), "ALTER TABLE contacts DISABLE ROW LEVEL SECURITY"
    ),
    "a policy that refuses what is written": Refusal(
        POLICY.format(using="true", check="false"), "ALTER TABLE contacts DISABLE ROW LEVEL SECURITY"
    ),
    "a trigger that swallows updates of contacts": Refusal(
        NOTHING_HAPPENS + "CREATE TRIGGER swallow BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION swallow()",
        "DROP TRIGGER swallow ON contacts",
    ),
    "a trigger that swallows deliveries": Refusal(
        NOTHING_HAPPENS
        + "CREATE TRIGGER swallow BEFORE INSERT OR UPDATE ON crm_sync.deliveries "
        + "FOR EACH ROW EXECUTE FUNCTION swallow()",
        "DROP TRIGGER swallow ON crm_sync.deliveries",
    ),
    "a rule that does nothing instead": Refusal(
        "CREATE RULE nothing AS ON UPDATE TO contacts WHERE old.brevo_sync_status <> 'Complete' DO INSTEAD NOTHING",
        "DROP RULE nothing ON contacts",
    ),
    "a transaction that locks the rows": Refusal("SELECT FROM contacts FOR UPDATE", "ROLLBACK"),
}


@dataclass
class Site:
    """An installation whose database refuses; `skipped` is how far its clock is ahead of the real one."""

    product: Product
    role: str
    skipped: timedelta = timedelta(0)
    cursor: str | None = None
    is_locked: bool = False

    @contextmanager
    def refuses(self, name: str) -> Iterator[None]:
        """While this refusal is in force."""
        refusal = REFUSALS[name]
        if refusal.undoes == "ROLLBACK":
            with self.product.world.engine.connect() as somebody:
                somebody.exec_driver_sql(refusal.does)
                self.is_locked = True
                yield
            self.is_locked = False
            return
        self.does(refusal.does)
        yield
        self.does(refusal.undoes)

    def does(self, statements: str) -> None:
        self.product.world.script(statements.replace("{role}", self.role))
        engine_for(self.url).dispose()  # what a role is set to holds from the next connection on

    @property
    def url(self) -> str:
        return str(sa.engine.make_url(self.product.world.url).set(username=self.role))

    @property
    def instance(self) -> dg.DagsterInstance:
        return self.product.instance

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + self.skipped

    def skip(self, wait: timedelta) -> None:
        """Let time pass, for Dagster's records and for the database."""
        self.skipped += wait
        if self.is_locked:
            return
        self.product.world.pass_time(wait)
        self.product.world.execute(
            "UPDATE crm_sync.alerts SET raised_at = raised_at - CAST(:wait AS interval)", wait=wait
        )

    def run(self, request: dg.RunRequest) -> bool:
        """The run that a tick asked for, which ends at the time that it is at this site; whether it was green."""
        result = self.product.run_requested(request)
        self._ended_at(result.run_id)
        return result.success

    def run_as_before(self) -> None:
        """A run that goes as the newest one went, without the work."""
        newest = self.instance.get_run_records(limit=1)[0].dagster_run
        again = newest._replace(run_id=str(uuid4()))
        self.instance.add_run(again)
        self._ended_at(again.run_id)

    def _ended_at(self, run_id: str) -> None:
        storage = self.instance.run_storage
        assert isinstance(storage, SqlRunStorage)
        with storage.connect() as connection:
            ended = RunsTable.update().where(RunsTable.c.run_id == run_id).values(end_time=self.now().timestamp())
            connection.execute(ended)

    def look(self) -> str:
        """One tick of the alert sensor."""
        definitions = self.product.definitions
        resources = {"database": (definitions.resources or {})["database"]}
        with dg.build_sensor_context(instance=self.instance, resources=resources, cursor=self.cursor) as context:
            answer = definitions.resolve_sensor_def("alert_sensor")(context)
            self.cursor = context.cursor
        assert isinstance(answer, dg.SkipReason)
        return answer.skip_message or ""


@contextmanager
def site(product: Product) -> Iterator[Site]:
    """The product, with a role of its own in the database, and Dagster's history on disk."""
    product.instance = product.on_disk
    made = Site(product, f"app_{uuid4().hex[:8]}")
    made.does(RIGHTS)
    product.set(DATABASE_URL=made.url)
    trying = transactions._trying  # a read-only server may be in a failover: that costs each run 5 s
    product.monkeypatch.setattr(transactions, "_trying", lambda _patience: trying(NO_PATIENCE))
    for module in (run_results, alerts):
        product.monkeypatch.setattr(module, "now", made.now)
    yield made
    engine_for(made.url).dispose()
    product.world.script(f"DROP OWNED BY {made.role}; DROP ROLE {made.role}")
    product.instance.wipe()
