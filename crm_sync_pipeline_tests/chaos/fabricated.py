"""Evidence that is made up, to see that each invariant can fail: one healthy contact's life, and what may go wrong."""

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

from crm_sync_pipeline_tests.chaos.audit import HARNESS, PEOPLE, Change
from crm_sync_pipeline_tests.chaos.evidence import Call, Evidence, Life, contact_in
from crm_sync_pipeline_tests.chaos.vendors.brevo import BREVO
from crm_sync_pipeline_tests.chaos.watched import Obeyed

CONTACT = UUID(int=1)
TOKEN = UUID(int=2)
OTHER_TOKEN = UUID(int=3)
THIRD_TOKEN = UUID(int=4)
WORKER = "0.1"
OTHER = "1.1"
EPOCH = 1_700_000_000.0
"""Everything happens in the seconds after it."""


def contact_row(sync: str = "New", processing: str | None = None, **columns: Any) -> dict[str, Any]:
    """A row of `contacts`, as far as anybody looks at it."""
    return {
        "id": str(CONTACT),
        "email": "ann@example.com",
        "name": "Ann",
        "phone_number": None,
        "domain_id": None,
        "page_id": None,
        "email_type": None,
        "source_url": None,
        "has_gmail": None,
        "brevo_sync_status": sync,
        "brevo_processing_status": processing,
        "brevo_processing_error": None,
        "brevo_contact_id": "ann@example.com" if sync == "Complete" else None,
        "hubspot_sync_status": "New",
        **columns,
    }


def delivery_row(token: UUID | None = None, lease_ends: float = 0.0, **columns: Any) -> dict[str, Any]:
    """A row of `deliveries`, likewise."""
    return {
        "contact_id": str(CONTACT),
        "destination": "brevo",
        "claim_token": str(token) if token else None,
        "lease_expires_at": time_at(lease_ends).isoformat() if token else None,
        "retry_count": 0,
        "lost_count": 0,
        "next_retry_at": None,
        **columns,
    }


def time_at(seconds: float) -> datetime:
    """So many seconds after the epoch."""
    return datetime.fromtimestamp(EPOCH + seconds, timezone.utc)


class Story:
    """Changes, one after another: each call is a transaction of its own unless it names one."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._rows: dict[str, dict[str, Any] | None] = {"contacts": None, "deliveries": None}

    def tell(
        self,
        at: float,
        actor: str,
        table: str,
        after: dict[str, Any] | None,
        transaction: str | None = None,
        committed: float | None = None,
    ) -> None:
        """Somebody wrote a row, and committed at once unless it says when."""
        number = len(self.changes) + 1
        before, self._rows[table] = self._rows[table], after
        moment = EPOCH + at
        self.changes.append(
            Change(
                number,
                transaction or str(number),
                moment,
                moment,
                EPOCH + (at if committed is None else committed),
                actor,
                table,
                CONTACT,
                before,
                after,
                BREVO.crm,
            )
        )

    def claim(self, at: float, actor: str, token: UUID, lease_seconds: float = 10.0) -> None:
        """A worker claimed it."""
        name = f"claim {token} {at}"
        self.tell(at, actor, "deliveries", delivery_row(token, at + lease_seconds), name)
        self.tell(at, actor, "contacts", contact_row("Processing", "Processing"), name)

    def settle(self, at: float, actor: str, sync: str, **delivery: Any) -> None:
        """A worker wrote what became of it."""
        name = f"settle {at}"
        self.tell(at, actor, "contacts", contact_row(sync, sync), name)
        self.tell(at, actor, "deliveries", delivery_row(**delivery), name)


def beginning() -> Story:
    """A contact that a person selected at second 1."""
    story = Story()
    story.tell(0, HARNESS, "contacts", contact_row())
    story.tell(1, PEOPLE, "contacts", contact_row("Selected", "Queued"))
    return story


def healthy_story() -> Story:
    """Selected, claimed, settled as Complete."""
    story = beginning()
    story.claim(2, WORKER, TOKEN)
    story.settle(4, WORKER, "Complete")
    return story


def expected_payload(row: dict[str, Any]) -> str:
    """The hash of what Brevo is to hold of this row."""
    return BREVO.expected(contact_in(row))


def obeyed(at: float, call: str, name: str = "Ann") -> Obeyed:
    """A call that the simulator carried out."""
    return Obeyed(at, call, "ann@example.com", expected_payload(contact_row(name=name)), {})


def call(number: str, sent_at: float, token: UUID = TOKEN, **told: Any) -> Call:
    """A call that its worker saw succeed."""
    made = Call(number, number.partition("/")[0], token, CONTACT, sent_at - 0.1, sent_at, sent_at + 0.1, "synced")
    return replace(made, **told)


def evidence(story: Story | None = None, **changed: Any) -> Evidence:
    """All that is known of the healthy contact, but for what is changed."""
    wanted = expected_payload(contact_row())
    known: dict[str, Any] = {
        "vendor": BREVO,
        "history": (story or healthy_story()).changes,
        "contacts": {CONTACT: contact_row("Complete", "Complete")},
        "deliveries": {CONTACT: delivery_row() | {"payload_hash": wanted, "synced_at": time_at(3), "remote_id": "17"}},
        "ids": {"ann@example.com": "17"},
        "attempts": {(TOKEN, CONTACT): {"outcome": "synced", "attempted_at": time_at(3.5)}},
        "obeyed": [obeyed(3, "0.1/1")],
        "epoch": EPOCH,
        "calls": {"0.1/1": call("0.1/1", 3)},
        "lives": {WORKER: Life(), OTHER: Life()},
    }
    return Evidence(**known | changed)
