"""An audit trigger on the two tables that a delivery lives in: what became of every row, by whom, in which transaction.

It belongs to the harness: the product's migrations know nothing of it. Who did something is told by the setting
`chaos.actor` of the session, which `as_actor` puts into a URL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.domain.crm import Crm

PEOPLE = "people"
HARNESS = "harness"

AUDIT = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id text NOT NULL DEFAULT pg_current_xact_id()::text,
    began_at float NOT NULL DEFAULT extract(epoch FROM now()),
    at float NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
    committed_at float,
    actor text NOT NULL DEFAULT coalesce(nullif(current_setting('chaos.actor', true), ''), 'unknown'),
    table_name text NOT NULL,
    contact_id uuid NOT NULL,
    before jsonb,
    after jsonb
);
CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    the_row jsonb := coalesce(new_row, old_row);
BEGIN
    INSERT INTO chaos.history (table_name, contact_id, before, after)
    VALUES (TG_TABLE_NAME, coalesce(the_row->>'contact_id', the_row->>'id')::uuid, old_row, new_row);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE OR DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE OR DELETE ON crm_sync.deliveries
    FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE FUNCTION chaos.note_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE chaos.history SET committed_at = extract(epoch FROM clock_timestamp()) WHERE id = NEW.id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER chaos_note_commit AFTER INSERT ON chaos.history DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION chaos.note_commit();
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One write to a row of `contacts` or `deliveries`. Times are PostgreSQL's, in seconds since 1970.

    `began_at` is now() in its transaction, `at` the moment itself, `committed_at` that of the COMMIT: nobody else saw
    the change before it, and an import writes long before it commits. `before` is None for an INSERT, `after` for a
    DELETE. Changes of one contact are in the order in which they happened, because each holds the row's lock.
    """

    number: int
    transaction: str
    began_at: float
    at: float
    committed_at: float
    actor: str
    table: str
    contact: UUID
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    crm: Crm

    @property
    def is_by_the_product(self) -> bool:
        """Whether a worker did it, and not a person or the harness."""
        return self.actor not in (PEOPLE, HARNESS)

    def status_before(self) -> tuple[str | None, str | None]:
        """Sync and processing status of a contact, of the CRM that the trial is about."""
        return status_in(self.before, self.crm)

    def status_after(self) -> tuple[str | None, str | None]:
        """The same, afterwards."""
        return status_in(self.after, self.crm)


def as_actor(url: str, actor: str) -> str:
    """The URL with which everything done is recorded as done by `actor`."""
    return f"{url}{'&' if '?' in url else '?'}options={quote(f'-c chaos.actor={actor}')}"


def read_history(engine: sa.Engine, crm: Crm) -> list[Change]:
    """Everything that was written and committed since the trigger was made; of deliveries, those to one CRM."""
    query = """
        SELECT id, transaction_id, began_at, at, committed_at, actor, table_name, contact_id, before, after
        FROM chaos.history
        WHERE table_name = 'contacts' OR coalesce(after, before)->>'destination' = :destination
        ORDER BY id
    """
    with engine.connect() as connection:
        return [Change(*(*row, crm)) for row in connection.execute(sa.text(query), {"destination": crm.name})]


def by_contact(history: Sequence[Change], table: str) -> dict[UUID, list[Change]]:
    """The changes of each contact's row in one table, in their order."""
    found: dict[UUID, list[Change]] = {}
    for change in history:
        if change.table == table:
            found.setdefault(change.contact, []).append(change)
    return found


def status_in(row: Mapping[str, Any] | None, crm: Crm) -> tuple[str | None, str | None]:
    """Sync and processing status of a row of `contacts`; None and None where there is none."""
    return (row[crm.sync_status], row[crm.processing_status]) if row else (None, None)
