"""What a run worker's process does on top of the product's code: it says who it is, and writes down what it does.

Code server and run workers import this with their definitions. Without FOLDER in the environment nothing happens.
"""

import json
import os
from functools import cache
from pathlib import Path

import psutil

from crm_sync_pipeline_tests.chaos.audit import as_actor
from crm_sync_pipeline_tests.chaos.points import Points
from crm_sync_pipeline_tests.chaos.trace import Trace
from crm_sync_pipeline_tests.chaos.wrapping import wrap_everything

FOLDER = "CHAOS_FOLDER"
ODDS = "CHAOS_ODDS"
DATABASE_URL = "CHAOS_DATABASE_URL"
CALM = "calm"


class PointsUntilCalm(Points):
    """Kills at named points, until there is a file CALM in the folder: nobody else reaches a run worker."""

    def __init__(self, trace: Trace, folder: Path) -> None:
        super().__init__(trace, trace.worker, json.loads(os.environ[ODDS]))
        self._calm = folder / CALM

    def passed(self, point: str) -> None:
        """See Points."""
        if not self._calm.exists():
            super().passed(point)


@cache
def watch_this_process() -> None:
    """Wrap the product's functions in this process, once, and give its database sessions its name."""
    if FOLDER not in os.environ:
        return
    folder, name = Path(os.environ[FOLDER]), name_of(psutil.Process())
    # The product reads DATABASE_URL when a run starts; a child inherits it, and names itself again.
    os.environ["DATABASE_URL"] = as_actor(os.environ[DATABASE_URL], name)
    trace = Trace(folder / "trace", name)
    wrap_everything(trace, PointsUntilCalm(trace, folder))


def name_of(process: psutil.Process) -> str:
    """Process ids are used again; together with the time of the start they are not."""
    return f"{process.pid}.{round(process.create_time() * 100)}"
