"""`./run demo` as a real process."""

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from crm_sync_pipeline_tests.acceptance.processes import with_environment
from crm_sync_pipeline_tests.chaos.dagster_services import until

pytestmark = pytest.mark.whole_dagster

MARK = "CRM_SYNC_TEST_MARK"


@pytest.mark.timeout(180)
def test_the_demo_delivers_shows_what_became_of_them_and_leaves_nothing(tmp_path: Path) -> None:
    mark = str(uuid4())
    done = subprocess.run(
        [sys.executable, "-m", "crm_sync_pipeline.cli", "demo"],
        cwd=tmp_path,
        # The demo must not reach a real account or database, whatever the user's environment says.
        env={
            **os.environ,
            "BREVO_API_KEY": "xkeysib-1",
            "BREVO_API_BASE_URL": "http://127.0.0.1:9/v3",
            MARK: mark,
            **dict.fromkeys(("DATABASE_URL", "CRM_SYNC_DATABASE_URL"), "postgresql://real@127.0.0.1:9/contacts"),
        },
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Loaded 300 contacts. Selected 300 contacts for 1 CRM(s), 300 queued for processing." in done.stdout
    for expected in (
        r"Complete\s+297",
        r"Queued, waiting for a retry\s+3",
        r"2\s+invalid_email\s+Brevo API error \(400\): Invalid email",
        r"1\s+no_email\s+Contact has no email address",
        r"holds 296 contacts; it was sent 300 requests",
        r"297 contacts delivered in [\d.]+ s: \d+ contacts/s",
        r"\./run dev",
    ):
        assert re.search(expected, done.stdout), (expected, done.stdout)
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == [], "nothing is left in the tree"
    until(lambda: not with_environment(MARK, mark), 5, "nothing is left running")
