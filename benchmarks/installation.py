"""`crm-sync dev` in a folder of its own, as `./run dev` starts it: webserver, daemon, code server, run workers."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.site import ROOT, BenchmarkError, environment

READY_SECONDS = 120
STOP_SECONDS = 15
POLL_SECONDS = 0.02


@dataclass
class Installation:
    """One running installation; `home` is its DAGSTER_HOME."""

    home: Path
    process: psutil.Popen

    def workers(self) -> list[psutil.Process]:
        """The run workers that are alive: nothing else below `dev` is spawned by multiprocessing."""
        found = []
        with suppress(psutil.NoSuchProcess):
            for process in self.process.children(recursive=True):
                with suppress(psutil.Error):
                    if "spawn_main" in " ".join(process.cmdline()):
                        found.append(process)
        return found


@contextmanager
def installation(home: Path, **settings: str) -> Iterator[Installation]:
    """Running, with schedule and sensor on, until the block ends. BenchmarkError where it does not come up."""
    home.mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, home / name)
    # Relative to DAGSTER_HOME, which whoever asks about the runs does not set.
    ours = (home / "dagster.yaml").read_text().replace("var/dagster", str(home / "var/dagster"))
    (home / "dagster.yaml").write_text(ours)
    with (home / "dev.log").open("wb") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "crm_sync_pipeline.cli", "dev", "--port", str(_free_port())],
            cwd=home,
            env={**environment(), "PYTHONPATH": str(ROOT), **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Installation(home, process)
    try:
        until(
            lambda: b"Dagster's UI" in (home / "dev.log").read_bytes() or process.poll() is not None,
            READY_SECONDS,
            "dev is up",
        )
        if process.poll() is not None:
            raise BenchmarkError(f"dev ended: {(home / 'dev.log').read_text()[-2000:]}")
        yield running
    finally:
        family = process.children(recursive=True) if process.poll() is None else []
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS)
        for left in [process, *family]:
            with suppress(psutil.NoSuchProcess):
                left.kill()


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition. BenchmarkError when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"Not so after {seconds:g} s: {what}.")
        time.sleep(POLL_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
