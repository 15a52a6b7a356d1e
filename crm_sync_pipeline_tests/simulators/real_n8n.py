"""A real n8n on this machine, where one is installed: on loopback, with a database of its own and active workflows.

It is npm's `n8n`, found on PATH or named by N8N_PROGRAM; nothing here installs it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

PROGRAM = os.environ.get("N8N_PROGRAM") or shutil.which("n8n")
COMMAND_SECONDS = 120
STARTS_WITHIN_SECONDS = 180
STOPS_WITHIN_SECONDS = 20

Json = dict[str, Any]


@dataclass
class RealN8n:
    """A running n8n. `while_starting` is each different answer that its webhook gave before it was up."""

    base_url: str
    version: str
    while_starting: list[httpx.Response] = field(default_factory=list)


@contextmanager
def running_n8n(
    folder: Path, workflows: Sequence[Json], credentials: Sequence[Json], probe: str, *, node_env: str = ""
) -> Iterator[RealN8n]:
    """Import these into a new n8n in `folder`, start it, and wait until the webhook at path `probe` is registered."""
    environment = _environment(folder, node_env)
    version = _run(environment, "--version").strip().splitlines()[-1]
    for kind, rows in (("credentials", credentials), ("workflow", workflows)):
        source = folder / f"{kind}.json"
        source.write_text(json.dumps(list(rows)))
        _run(environment, f"import:{kind}", f"--input={source}")
    for workflow in workflows:
        _activate(environment, str(workflow["id"]))
    n8n = RealN8n(f"http://127.0.0.1:{environment['N8N_PORT']}", version)
    with (folder / "n8n.log").open("wb") as log:
        process = subprocess.Popen([str(PROGRAM), "start"], env=environment, stdout=log, stderr=log)
        try:
            _wait_until_up(n8n, process, probe, folder / "n8n.log")
            yield n8n
        finally:
            _stop(process)


def _environment(folder: Path, node_env: str) -> dict[str, str]:
    ports = _free_ports(3)
    outward = ("DIAGNOSTICS_ENABLED", "VERSION_NOTIFICATIONS_ENABLED", "TEMPLATES_ENABLED", "PERSONALIZATION_ENABLED")
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        **{f"N8N_{name}": "false" for name in outward},
        "N8N_USER_FOLDER": str(folder),
        "N8N_ENCRYPTION_KEY": "a key of a test",
        "N8N_LISTEN_ADDRESS": "127.0.0.1",
        "N8N_PORT": str(ports[0]),
        "N8N_RUNNERS_BROKER_PORT": str(ports[1]),
        "N8N_LOG_LEVEL": "info",
        "NO_PROXY": "127.0.0.1",
        **({"NODE_ENV": node_env} if node_env else {}),
    }


def _free_ports(count: int) -> list[int]:
    listeners = [socket.socket() for _ in range(count)]
    try:
        for each in listeners:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in listeners]
    finally:
        for each in listeners:
            each.close()


def _run(environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [str(PROGRAM), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"n8n {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def _activate(environment: Mapping[str, str], workflow_id: str) -> None:
    """n8n 2 publishes, n8n 1 activates."""
    try:
        _run(environment, "publish:workflow", f"--id={workflow_id}")
    except AssertionError:
        _run(environment, "update:workflow", f"--id={workflow_id}", "--active=true")


def _wait_until_up(n8n: RealN8n, process: subprocess.Popen[bytes], probe: str, log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    seen: set[tuple[int, bytes]] = set()
    with httpx.Client(base_url=n8n.base_url, trust_env=False, timeout=10) as http:
        while time.monotonic() < deadline:
            assert process.poll() is None, f"n8n ended with {process.returncode}: {log.read_text()[-3000:]}"
            with suppress(httpx.TransportError):
                said = http.post(f"/webhook/{probe}", json={})
                if said.status_code == 403:
                    return
                if (said.status_code, said.content) not in seen:
                    seen.add((said.status_code, said.content))
                    n8n.while_starting.append(said)
            time.sleep(0.02)
    raise AssertionError(f"n8n was not up after {STARTS_WITHIN_SECONDS} s: {log.read_text()[-3000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop n8n and what it started."""
    family = [process.pid, *(each.pid for each in psutil.Process(process.pid).children(recursive=True))]
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOPS_WITHIN_SECONDS)
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
