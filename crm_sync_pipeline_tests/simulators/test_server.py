import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, PLANS, BrevoConfig, BrevoSimulator
from crm_sync_pipeline.simulators.server import PortInUseError, RunningSimulator, running, serve

UNLIMITED = BrevoConfig(limits=PLANS["unlimited"])
KEY = {"api-key": DEFAULT_KEY}
AT_ONCE_SECONDS = 1


def test_several_simulators_run_at_once_and_know_nothing_of_each_other() -> None:
    first, second = BrevoSimulator(UNLIMITED), BrevoSimulator(UNLIMITED)
    with running(first.app) as one, running(second.app) as two:
        assert one.base_url != two.base_url
        httpx.post(f"{one.base_url}/v3/contacts", json={"email": "jane@example.com"}, headers=KEY)
    assert (list(first.contacts), list(second.contacts)) == (["jane@example.com"], [])


def test_a_stopped_simulator_keeps_what_it_holds_and_frees_its_port() -> None:
    simulator = BrevoSimulator(UNLIMITED)
    with running(simulator.app) as server:
        port = server.port
        httpx.post(f"{server.base_url}/v3/contacts", json={"email": "jane@example.com"}, headers=KEY)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/v3/contacts")
    with running(simulator.app, port) as again:
        assert again.base_url == f"http://127.0.0.1:{port}"
        assert httpx.get(f"{again.base_url}/v3/contacts", headers=KEY).json()["count"] == 1


@pytest.mark.parametrize("fault", ["hang", "latency=60000", "slow-body=60000"])
def test_it_stops_at_once_although_requests_hang_and_connections_are_open(fault: str) -> None:
    simulator = BrevoSimulator(UNLIMITED, [fault])
    outcomes: list[BaseException | int] = []

    def call(base_url: str) -> None:
        try:
            answer = httpx.post(f"{base_url}/v3/contacts", json={"email": "a@example.com"}, headers=KEY, timeout=60)
            outcomes.append(answer.status_code)
        except httpx.TransportError as broken:
            outcomes.append(broken)

    with httpx.Client(headers=KEY) as idle:
        with running(simulator.app) as server:
            assert idle.get(f"{server.base_url}/v3/contacts").status_code == 200
            caller = threading.Thread(target=call, args=(server.base_url,))
            caller.start()
            assert simulator.requests.wait_for(lambda log: log.total == 2)
            begun = time.perf_counter()
        assert time.perf_counter() - begun < AT_ONCE_SECONDS
    caller.join()
    assert isinstance(outcomes[0], httpx.TransportError)


def test_a_block_that_fails_stops_its_simulator_and_fails() -> None:
    before = set(threading.enumerate())  # a fixture of a wider scope may hold a simulator of its own
    with pytest.raises(ZeroDivisionError), running(BrevoSimulator(UNLIMITED).app):
        _ = 1 / 0
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("simulator:")]


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        app = BrevoSimulator().app
        for start in (lambda: running(app, port).__enter__(), lambda: serve(app, port=port)):
            with pytest.raises(PortInUseError) as refused:
                start()
            assert str(refused.value) == (
                f"Port {port} on 127.0.0.1 is taken by another program, so the simulator did not start. "
                "Stop that program, or choose another port (0 takes any free one)."
            )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "", "127.0.0.1.nip.io"])  # noqa: S104
def test_a_host_beyond_loopback_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"this machine only: host must be 127\.0\.0\.1, ::1 or localhost"):
        serve(BrevoSimulator().app, host)
    with pytest.raises(ValueError, match="this machine only"), running(BrevoSimulator().app, host=host):
        pass


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("localhost", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")],
)
def test_the_base_url_can_be_used_as_it_is(host: str, url: str) -> None:
    assert RunningSimulator("127.0.0.1" if host == "localhost" else host, 80).base_url == url


RESETS = """
import sys

import httpx

if sys.argv[1] == "pure":  # uvicorn's fallbacks, where neither is installed
    sys.modules.update({"httptools": None, "uvloop": None})
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline.simulators.server import running

simulator = BrevoSimulator()
with running(simulator.app) as server, httpx.Client(headers={"api-key": "xkeysib-simulator"}) as client:
    for kind in ("reset-before-write", "reset-after-write"):
        simulator.inject(f"{kind}:times=1")
        try:
            client.post(f"{server.base_url}/v3/contacts", json={"email": f"{kind}@example.com"})
        except httpx.ReadError as broken:
            print(broken)
print(*simulator.contacts)
"""


@pytest.mark.parametrize("protocol", ["installed", "pure"])
def test_resets_are_tcp_resets_on_any_protocol_of_uvicorn(protocol: str) -> None:
    command = [sys.executable, "-W", "error", "-c", RESETS, protocol]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    reset = "Connection reset by peer"
    assert [line for line in ran.stdout.splitlines() if reset in line] == ran.stdout.splitlines()[:2]
    assert (ran.stdout.splitlines()[2:], ran.stderr) == (["reset-after-write@example.com"], "")


FOREGROUND = """
import sys
from crm_sync_pipeline.simulators.brevo import BrevoSimulator
from crm_sync_pipeline.simulators.server import serve

serve(BrevoSimulator(faults=["hang"]).app, on_started=lambda server: print(server.base_url, flush=True))
print("stopped")
"""


def test_ctrl_c_ends_the_foreground_server_cleanly_although_a_request_hangs() -> None:
    command = [sys.executable, "-W", "error", "-c", FOREGROUND]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        with httpx.Client(base_url=base_url, headers=KEY) as client:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v3/contacts", json={"email": "jane@example.com"}, timeout=0.1)
            os.kill(process.pid, signal.SIGINT)
            output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "stopped\n", "")
