"""The machine that a measurement was made on, without anything that would tell whose it is."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.site import databases
from crm_sync_pipeline.contact_queue.database.engine import engine_for

LIBRARIES = ("aiohttp", "brevo-python", "dagster", "httpx", "hubspot-api-client", "psycopg", "sqlalchemy")


def describe_machine() -> dict[str, str]:
    """What matters for the figures, name by name."""
    with databases() as copies, copies.with_selected(0) as url, engine_for(url).connect() as connection:
        postgres = str(connection.exec_driver_sql("SHOW server_version").scalar_one())
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.system(),
        "Python": platform.python_version()
        + ("" if sys.implementation.name == "cpython" else f" ({sys.implementation.name})"),
        "PostgreSQL": f"{postgres.split()[0]}, default settings, on disk",
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
