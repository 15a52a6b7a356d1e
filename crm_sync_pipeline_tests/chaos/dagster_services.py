"""Dagster as production runs it: a code server, a daemon and, where wanted, a webserver, each a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import yaml

PRODUCT = Path(__file__).parents[2]
DEFINITIONS = "crm_sync_pipeline_tests.chaos.dagster_definitions"
LOCATION = "crm_sync_pipeline"
READY_SECONDS = 60
STOP_SECONDS = 15
POLL_SECONDS = 0.1
MARK = "CRM_SYNC_CHAOS_MARK"


class ServicesError(RuntimeError):
    """One of the services did not do what it should, in time."""


@dataclass
class DagsterServices:
    """The processes of one installation in the folder `home`, and what they log there."""

    home: Path
    environment: Mapping[str, str]
    runs_at_a_time: int = 1
    definitions: str = DEFINITIONS
    code_server: psutil.Popen | None = None
    daemon: psutil.Popen | None = None
    webserver: psutil.Popen | None = None
    _port: int = field(default_factory=lambda: free_port())
    _web_port: int = field(default_factory=lambda: free_port())
    _mark: str = field(default_factory=lambda: str(uuid4()))

    def __post_init__(self) -> None:
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(self._instance_settings()))
        server = {"host": "127.0.0.1", "port": self._port, "location_name": LOCATION}
        (self.home / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))

    def _instance_settings(self) -> dict[str, object]:
        """The product's own dagster.yaml, with more runs at a time."""
        settings: dict[str, object] = yaml.safe_load((PRODUCT / "dagster.yaml").read_text())
        # What a run waits for when a service was killed at a bad moment: shorter, as the leases are.
        settings["run_monitoring"] = {
            "enabled": True,
            "poll_interval_seconds": 2,
            "start_timeout_seconds": 60,
            "cancel_timeout_seconds": 10,
            "max_runtime_seconds": 900,
        }
        settings["run_queue"] = {"dequeue_interval_seconds": 1, "dequeue_use_threads": True, "dequeue_num_workers": 4}
        settings["concurrency"] = {
            "runs": {
                "max_concurrent_runs": 5,
                "tag_concurrency_limits": [
                    {
                        "key": "crm_sync/destination",
                        "value": {"applyLimitPerUniqueValue": True},
                        "limit": self.runs_at_a_time,
                    }
                ],
            }
        }
        return settings

    @property
    def graphql(self) -> str:
        return f"http://127.0.0.1:{self._web_port}/graphql"

    def start_code_server(self, **environment: str) -> None:
        """Returns when it serves; `environment` comes on top."""
        port = str(self._port)
        command = ["dagster", "api", "grpc", "-m", self.definitions, "-h", "127.0.0.1", "-p", port]
        self.code_server = self._start("code_server", command, environment)
        _come_up(self.code_server, lambda: _accepts(self._port), "the code server listens")

    def start_daemon(self) -> None:
        """Returns at once."""
        self.daemon = self._start("daemon", ["dagster._daemon", "run"], {})

    def kill_code_server(self) -> None:
        """Kill it; its run workers live on."""
        _end(self.code_server, signal.SIGKILL)

    def kill_daemon(self) -> None:
        """Kill it; runs go on, and none is started."""
        _end(self.daemon, signal.SIGKILL)

    def stop_daemon(self) -> None:
        """Ask it to end, and wait until it has."""
        _end(self.daemon, signal.SIGTERM)

    def start_webserver(self) -> None:
        """Returns when it answers."""
        command = ["dagster_webserver", "-h", "127.0.0.1", "-p", str(self._web_port)]
        self.webserver = self._start("webserver", command, {})
        _come_up(self.webserver, self._answers, "the webserver answers")

    def _answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(self.graphql.replace("/graphql", "/server_info"), trust_env=False).is_success
        return False

    def _start(self, name: str, module: list[str], environment: Mapping[str, str]) -> psutil.Popen:
        with (self.home / f"{name}.log").open("ab") as log:
            return psutil.Popen(
                [sys.executable, "-m", *module],
                cwd=self.home,
                env={**os.environ, **self.environment, **environment, **self._always()},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_heed_interrupts,
            )

    def _always(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(PRODUCT), os.environ.get("PYTHONPATH"))))
        return {
            "DAGSTER_HOME": str(self.home),
            "PYTHONPATH": path,
            "PYTHONDONTWRITEBYTECODE": "",  # every run is a new process, and compiling Dagster takes one five seconds
            MARK: self._mark,
        }

    def workers(self) -> list[psutil.Process]:
        """The run workers that are alive, those of a code server that was killed too."""
        return [process for process in self._ours() if "multiprocessing.spawn" in " ".join(_command(process))]

    def stop(self) -> None:
        """Kill all that was ever started here, and what that started."""
        until(self._kill_ours, 10, "nothing of Dagster is left running")

    def _kill_ours(self) -> bool:
        ours = self._ours()
        for process in ours:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for service in (self.code_server, self.daemon, self.webserver):
            if service is not None:
                with suppress(psutil.TimeoutExpired):
                    service.wait(0.2)
        return not ours

    def _ours(self) -> list[psutil.Process]:
        """By a mark in the environment that each process inherits, whoever started it."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


@contextmanager
def dagster_services(
    home: Path, environment: Mapping[str, str], runs_at_a_time: int, definitions: str = DEFINITIONS
) -> Iterator[DagsterServices]:
    """Services that are gone when the block ends; nothing is started yet."""
    services = DagsterServices(home, environment, runs_at_a_time, definitions)
    try:
        yield services
    finally:
        services.stop()


def until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait for a condition, and return how many seconds it took. ServicesError when it took too long."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() > started + seconds:
            raise ServicesError(f"still not so after {seconds:g} s: {what}")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _come_up(service: psutil.Popen, is_up: Callable[[], bool], what: str) -> None:
    until(lambda: is_up() or service.poll() is not None, READY_SECONDS, what)
    if service.poll() is not None:
        raise ServicesError(f"{what}: it ended with exit code {service.returncode}, and its log says why")


def _end(service: psutil.Popen | None, how: signal.Signals) -> None:
    if service is not None:
        service.send_signal(how)
        service.wait(STOP_SECONDS)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def _heed_interrupts() -> None:
    """A process started in the background of a script inherits an ignored SIGINT, and then Dagster heeds no signal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
