"""The commands of the README as real processes, and what they leave."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from crm_sync_pipeline.sandbox.dev import is_alive
from crm_sync_pipeline_tests.chaos.dagster_services import until

READY_SECONDS = 90

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1
"""Of Linux: root's right to write whatever it likes."""


@dataclass(frozen=True)
class Dev:
    """`crm-sync dev`, with all that it started; `folder` is its working folder, `ui` the address of Dagster's UI."""

    process: psutil.Popen
    folder: Path
    ui: str

    def interrupt(self) -> float:
        """Press Ctrl-C; the seconds until the process and all it started are gone."""
        family = self.process.children(recursive=True)
        started = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=30) == 0
        took = time.monotonic() - started
        assert [process for process in family if is_alive(process)] == []
        return took


@contextmanager
def dev(folder: Path, environment: dict[str, str]) -> Iterator[Dev]:
    """Running, its UI up; killed at the end if it still runs."""
    port = _free_port()
    ui = f"http://127.0.0.1:{port}"
    with (folder / "dev.log").open("wb") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "crm_sync_pipeline.cli", "dev", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            ready = f"Dagster's UI: {ui}"
            until(lambda: ready in (folder / "dev.log").read_text(), READY_SECONDS, "the UI comes up")
            yield Dev(process, folder, ui)
        finally:
            for each in [*process.children(recursive=True), process] if process.is_running() else []:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()


def with_environment(name: str, value: str) -> list[psutil.Process]:
    """The processes that inherited a variable, whoever started them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def heeds_permissions() -> None:
    """Make root an ordinary user as to files, from the next program on: for a process that is about to start it."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
