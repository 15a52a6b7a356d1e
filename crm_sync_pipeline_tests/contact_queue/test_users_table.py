"""The whole way on a table that a user really has: upgrade, check, select, claim, settle, for every CRM."""

from pathlib import Path

import pytest

from crm_sync_pipeline.contact_queue.database.schema import check
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.outcome import Failed, Synced
from crm_sync_pipeline_tests.builders import World, one_run

EXISTING = Path(__file__).parents[3] / "shared" / "reference" / "existing-contacts.sql"


@pytest.fixture
def existing(empty: World) -> World:
    if not EXISTING.exists():
        pytest.skip("there is no ../shared/reference/existing-contacts.sql beside this repository")
    empty.script(EXISTING.read_text())
    return empty


def test_it_is_used_as_it_is_from_upgrade_to_delivery(existing: World) -> None:
    columns = existing.database.contacts().columns
    assert "created table public.contacts" not in existing.upgrade()
    assert existing.upgrade() == []
    assert existing.database.contacts().columns == columns
    with existing.engine.connect() as connection:
        assert [finding for finding in check(connection, existing.database.contacts()) if not finding.ok] == []
    ids = sorted(existing.add("a@example.com", "b@example.com", selected=False))
    existing.select(*ids, crms=tuple(CRMS))
    for name in CRMS:
        assert one_run(existing.queue(name), Synced("1"), Failed("http_503", "m")).total == 2
        assert [existing.status(contact, name)[1] for contact in ids] == ["Complete", "Queued"]
    assert existing.contact(ids[0])["debounce_validation_status"] == "New"
