"""Two contacts, what two sessions may do to them at once, and what must hold whichever of them came first.

A trigger notes every change of a contact and of a delivery, with the session that made it; a row's lock keeps the notes
of one contact in the order of the changes. A transaction that was rolled back leaves no note.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.transactions import in_transaction
from crm_sync_pipeline.contact_queue.people.acts import Actor, Acts
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.batch import Attempt, Batch, Settlement
from crm_sync_pipeline.domain.outcome import Failed, Synced
from crm_sync_pipeline.domain.retry import RetryPolicy
from crm_sync_pipeline_tests.builders import LEASE, World
from crm_sync_pipeline_tests.contact_queue.interleaving import NAMES, Operation, Order
from crm_sync_pipeline_tests.contact_queue.promises import DONE, ENDS, wrong_as_it_stands, wrong_in_history

ADA, BEN = (UUID(int=number) for number in (1, 2))
TOKEN = UUID(int=0xA)
LATE_TOKEN = UUID(int=0xB)
"""Of a worker whose lease ran out, and whose contacts another has taken since."""

AUDIT = """
    ALTER DATABASE {database} SET deadlock_timeout = '10ms';
    CREATE TABLE history (
        seq bigserial, who text DEFAULT current_setting('application_name'), contact uuid, what text,
        was text, became text, edited boolean, old_token uuid, new_token uuid, live boolean, retries integer
    );
    CREATE FUNCTION note_contact() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO history (contact, what, was, became, edited) VALUES (OLD.id, 'contact',
            concat_ws('/', OLD.brevo_sync_status, OLD.brevo_processing_status),
            concat_ws('/', NEW.brevo_sync_status, NEW.brevo_processing_status),
            (OLD.name, OLD.source_url) IS DISTINCT FROM (NEW.name, NEW.source_url));
        RETURN NEW;
    END $$;
    CREATE TRIGGER note_contact BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION note_contact();
    CREATE FUNCTION note_delivery() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO history (contact, what, old_token, new_token, live, retries)
        VALUES (OLD.contact_id, 'delivery', OLD.claim_token, NEW.claim_token,
                OLD.lease_expires_at > clock_timestamp(), NEW.retry_count - OLD.retry_count);
        RETURN NEW;
    END $$;
    CREATE TRIGGER note_delivery BEFORE UPDATE ON crm_sync.deliveries FOR EACH ROW EXECUTE FUNCTION note_delivery();
"""

CLEARED = "DELETE FROM crm_sync.deliveries; DELETE FROM crm_sync.attempts; DELETE FROM contacts; DELETE FROM history;"
CONTACTS = """
    INSERT INTO contacts (id, email, domain_id, page_id, brevo_sync_status, brevo_processing_status, updated_at)
    SELECT x.id, x.email, domains.id, pages.id, '{sync}', '{processing}', now() - interval '{age}'
    FROM (VALUES ('{ada}'::uuid, 'ada@example.com'), ('{ben}', 'ben@example.com')) x (id, email), domains, pages;
"""
CLAIMED = """
    INSERT INTO crm_sync.deliveries (contact_id, destination, claim_token, lease_expires_at)
    SELECT id, 'brevo', '{token}', now() + interval '{lease}' FROM contacts;
"""
JOURNALED = """
    INSERT INTO crm_sync.attempts
        (contact_id, destination, claim_token, number, outcome, reason, contact_hash, payload_hash, remote_id)
    VALUES ('{ada}', 'brevo', '{token}', 1, 'synced', 'created', '{ada_hash}', 'sent', '1'),
           ('{ben}', 'brevo', '{token}', 1, 'failed', 'http_503', '{ben_hash}', 'sent', NULL);
"""


STATES = {
    "claim": {"queued", "expired", "expired and journaled"},
    "recover": {"claimed", "expired", "expired and journaled"},
    "settle": {"claimed", "claimed and journaled", "expired and journaled"},
    "settle late": {"claimed", "claimed and journaled"},
    "extend": {"claimed", "expired"},
    "journal": {"claimed", "expired"},
    "journal late": {"claimed", "claimed and journaled"},
}
"""In which states an operation of ours has something to do."""

MEETS_A_PERSON = {
    "claim": {"queued", "claimed"},
    "recover": {"expired and journaled"},
    "settle": {"claimed", "claimed and journaled"},
    "settle late": {"claimed and journaled"},
    "extend": {"claimed"},
    "journal": {"claimed"},
    "journal late": {"claimed and journaled"},
}
"""In which of them it is worth while to have a person decide something at the same time."""


OPERATIONS = (*STATES, "edit", "import", "select", "unselect")


def states(first: str, second: str) -> list[str]:
    """The states in which two operations may meet."""
    ours = [name for name in (first, second) if name in STATES]
    if len(ours) == 2:
        return sorted(STATES[first] & STATES[second])
    return sorted(MEETS_A_PERSON[ours[0]] if ours else {"queued", "claimed"})


class _ClaimingAlone(ContactQueue):
    """Claims without recovering first: that is a transaction, and an operation, of its own."""

    def recover(self) -> Settlement:
        return Settlement()


class TwoContacts:
    """A database with Ada and Ben, and operations upon them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._table = world.database.contacts()
        self._ends: dict[str, dict[UUID, str]] = {}
        world.script(AUDIT.format(database=world.engine.url.database))
        world.script("DELETE FROM domains WHERE id <> (SELECT min(id::text)::uuid FROM domains)")
        self.url = world.engine.url
        self.operations = self._operations()
        self._hashes = {ADA: "", BEN: ""}
        self.prepare("claimed")
        self._hashes = {each.id: each.fingerprint() for each in self.queue(world.engine).contacts_of(TOKEN)}

    def queue(self, engine: sa.Engine) -> ContactQueue:
        return ContactQueue(engine, self._table, CRMS["brevo"], RetryPolicy(), LEASE)

    def claiming(self, engine: sa.Engine) -> ContactQueue:
        return _ClaimingAlone(engine, self._table, CRMS["brevo"], RetryPolicy(), LEASE)

    def prepare(self, state: str) -> None:
        """Both queued; or claimed by TOKEN with nothing or everything journaled; or that with an expired lease."""
        names = {"ada": ADA, "ben": BEN, "token": TOKEN, "age": "1 minute", "lease": "4 minutes"}
        names |= {"sync": "Processing", "processing": "Processing"}
        names |= {"ada_hash": self._hashes[ADA], "ben_hash": self._hashes[BEN]}
        if state == "queued":
            names |= {"sync": "Selected", "processing": "Queued"}
        if state.startswith("expired"):
            names |= {"age": "1 hour", "lease": "-1 minute"}
        script = CLEARED + CONTACTS
        script += CLAIMED if state != "queued" else ""
        script += JOURNALED if state.endswith("journaled") else ""
        self.world.script(script.format(**names))

    def attempts(self, payload_hash: str) -> list[Attempt]:
        """What came of one call for each: Ada is synced, Ben failed."""
        return [
            Attempt(ADA, Synced("1", "created"), self._hashes[ADA], payload_hash),
            Attempt(BEN, Failed("http_503", "try later"), self._hashes[BEN], payload_hash),
        ]

    def _operations(self) -> Mapping[str, Operation]:
        return {
            "claim": lambda engine: self.claiming(engine).claim(10),
            "recover": lambda engine: self.queue(engine).recover(),
            "settle": lambda engine: self.queue(engine).settle(TOKEN),
            "settle late": lambda engine: self.queue(engine).settle(LATE_TOKEN),
            "extend": lambda engine: self.queue(engine).journal(TOKEN, []),
            "journal": lambda engine: self.queue(engine).journal(TOKEN, self.attempts("sent")),
            "journal late": lambda engine: self.queue(engine).journal(LATE_TOKEN, self.attempts("sent late")),
            "edit": lambda engine: _by_hand(engine, "UPDATE contacts SET name = 'Ada L.' WHERE id = '{ada}'"),
            "import": lambda engine: _by_hand(
                engine,
                "UPDATE contacts SET source_url = 'https://example.com' WHERE id = '{ben}'",
                "UPDATE contacts SET source_url = 'https://example.com' WHERE id = '{ada}'",
            ),
            "select": lambda engine: self._decide(engine, "select"),
            "unselect": lambda engine: self._decide(engine, "unselect"),
        }

    def _decide(self, engine: sa.Engine, verb: str) -> None:
        Acts(engine, self._table, Actor("tests")).carry_out(verb, Which([BEN, ADA]), ["brevo"])

    def violations(self, names: Sequence[str], order: Order) -> list[str]:
        """What does not hold after this order of the operations `names`; empty where all is well."""
        found = [f"{name} raised {error!r}" for name, error in zip(names, order.raised, strict=True) if error]
        doers = dict(zip(NAMES, names, strict=True))
        with self.world.engine.connect() as connection:
            notes = [
                {**note, "did": doers[note["who"]], "is_its_own": note["old_token"] == TOKEN}
                for note in connection.exec_driver_sql("SELECT * FROM history ORDER BY seq").mappings()
            ]
        rows = self.standing()
        for contact in (ADA, BEN):
            found += wrong_in_history([note for note in notes if note["contact"] == contact])
        found += [what for row in rows for what in wrong_as_it_stands(names, row)]
        found += ["a contact is gone"] * (len(rows) < 2)
        found += ["a contact is in two batches"] * (sum(map(_size, order.returned)) > len(rows))
        ends = self._ends.setdefault(repr(rows), {}) or self._run_on(self._ends[repr(rows)])
        wanted = {ENDS[name] for name in names if name in ENDS} or {DONE}
        return found + [f"in the end it is {end}" for end in ends.values() if end not in wanted]

    def standing(self) -> list[dict[str, object]]:
        """How the two stand, but for the times."""
        return self.world.rows(STANDING)

    def _run_on(self, ends: dict[UUID, str]) -> dict[UUID, str]:
        """Let every lease run out and every wait pass, and run on; how each contact ends. The same for like rows."""
        self.world.script("UPDATE crm_sync.deliveries SET lease_expires_at = lease_expires_at - interval '1 hour'")
        queue = self.queue(self.world.engine)
        queue.recover()
        self.world.script(
            "UPDATE crm_sync.deliveries SET next_retry_at = now(); UPDATE contacts SET next_retry_at = now()"
        )
        while (batch := queue.claim(10)).size:  # more than one round: one that was lost twice is claimed alone
            sent = queue.contacts_of(batch.token)
            queue.journal(batch.token, [Attempt(each.id, Synced("1"), each.fingerprint()) for each in sent])
            queue.settle(batch.token)
        ends.update({contact: "/".join(filter(None, self.world.status(contact))) for contact in (ADA, BEN)})
        return ends


STANDING = """
    SELECT c.id, concat_ws('/', brevo_sync_status, brevo_processing_status) AS status, name, source_url,
           d.retry_count, d.lost_count, d.next_retry_at > now() AS waits, d.payload_hash, d.late_payload_hash,
           claim_token IS NOT NULL AS claimed, lease_expires_at IS NOT NULL AS leased, lease_expires_at > now() AS live,
           (SELECT array_agg(concat_ws(' ', claim_token, outcome, a.payload_hash)) FROM crm_sync.attempts a
            WHERE a.contact_id = c.id) AS attempts
    FROM contacts c LEFT JOIN crm_sync.deliveries d ON d.contact_id = c.id ORDER BY c.id
"""


def _size(returned: object) -> int:
    return returned.size if isinstance(returned, Batch) else 0


def _by_hand(engine: sa.Engine, *statements: str) -> None:
    """What people's own programs do: one transaction; tried again after a deadlock, as theirs should be."""

    def work(connection: sa.Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement.format(ada=ADA, ben=BEN))

    in_transaction(engine, work)
