"""`./run demo` as a real process."""

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline_tests.acceptance.processes import with_environment
from crm_sync_pipeline_tests.chaos.dagster_services import until

pytestmark = pytest.mark.whole_dagster

MARK = "CRM_SYNC_TEST_MARK"

REAL = {
    **dict.fromkeys(("DATABASE_URL", "CRM_SYNC_DATABASE_URL"), "postgresql://real@127.0.0.1:9/contacts"),
    "BREVO_API_KEY": "xkeysib-1",
    "BREVO_API_BASE_URL": "http://127.0.0.1:9/v3",
    "BREVO_LIST_ID": "57",
    "HUBSPOT_API_KEY": "pat-eu1-1",
    "HUBSPOT_API_BASE_URL": "http://127.0.0.1:9",
    "MAUTIC_BASE_URL": "http://127.0.0.1:9",
    "MAUTIC_USERNAME": "anna",
    "N8N_WEBHOOK_URL": "http://127.0.0.1:9/webhook/real",
}
"""A user's own accounts and database, which the demo must not reach."""
DOTENV = "MAUTIC_PASSWORD=sesame\nMAUTIC_SEGMENT_ID=57\nN8N_WEBHOOK_SECRET=sesame\n"

HELD = {
    # CRM: complete, waiting, what the simulator holds, requests at most
    "brevo": (297, 3, 296, 300),
    "hubspot": (297, 3, 296, 10),
    "mautic": (297, 3, 296, 20),
    "n8n": (299, 1, 299, 299),
}


def demo(folder: Path, *arguments: str) -> str:
    """What it prints; nothing is left of it, in the folder or running."""
    mark = str(uuid4())
    (folder / ".env").write_text(DOTENV)
    done = subprocess.run(
        [sys.executable, "-m", "crm_sync_pipeline.cli", "demo", *arguments],
        cwd=folder,
        env={**os.environ, **REAL, MARK: mark},
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [path.name for path in folder.iterdir()] == [".env"], "nothing is left in the tree"
    until(lambda: not with_environment(MARK, mark), 5, "nothing is left running")
    return done.stdout


@pytest.mark.timeout(240)
def test_the_demo_delivers_to_each_crm_shows_what_became_of_them_and_leaves_nothing(tmp_path: Path) -> None:
    assert HELD.keys() == set(DESTINATIONS)
    said = demo(tmp_path)
    assert "Loaded 300 contacts. Selected 300 contacts for 4 CRM(s), 1200 queued for processing." in said
    for name, (complete, waiting, held, requests) in HELD.items():
        title = DESTINATIONS[name].title
        row = re.search(rf"{title} +{complete} +{waiting} +{held} +(\d+) +2 +\d+\n", said)
        assert row, (title, said)
        assert int(row[1]) <= requests, title
        assert re.search(rf"{title} +1 +no_email +Contact has no email address", said), (title, said)
    for expected in (
        r"Brevo +2 +invalid_email +Brevo API error \(400\): Invalid email",
        r"crm-sync explain [-0-9a-f]{36} --crm brevo\n  Waiting for retry 1 of 3",
        r"Next: Correct its e-mail address",
        r"\./run dev",
    ):
        assert re.search(expected, said), (expected, said)


@pytest.mark.timeout(240)
def test_only_names_the_crms_of_the_demo(tmp_path: Path) -> None:
    said = demo(tmp_path, "--contacts", "50", "--only", "brevo")
    assert "Loaded 50 contacts. Selected 50 contacts for 1 CRM(s), 50 queued for processing." in said
    assert "a simulator of Brevo" in said
    assert re.search(r"Brevo +47 +3 +46 +50 +1 +\d+\n", said), said
    assert "HubSpot" not in said
