"""Serve a simulator on loopback: in the foreground, or in a thread beside a test."""

import asyncio
import contextlib
import errno
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from crm_sync_pipeline.simulators.transport import BreakableProtocol

BACKLOG = 2048


class PortInUseError(RuntimeError):
    """Another program listens on the port, so nothing was started. Choose another, or 0 for any free one."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"Port {port} on {host} is taken by another program, so the simulator did not start. "
            f"Stop that program, or choose another port (0 takes any free one)."
        )


class StartError(RuntimeError):
    """The server ended before it served its first request."""


@dataclass(frozen=True)
class RunningSimulator:
    """A simulator being served. `base_url` has neither path nor trailing slash: http://127.0.0.1:49152."""

    host: str
    port: int

    @property
    def base_url(self) -> str:
        """The address of the server."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def serve(
    app: ASGIApp,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    on_started: Callable[[RunningSimulator], None] = lambda _: None,
) -> None:
    """Serve until Ctrl-C, which returns. `on_started` is called once, when requests are answered.

    ValueError for a host beyond loopback, PortInUseError for a port that is taken.
    """
    with _bound(host, port) as listener:
        where = _where(host, listener)
        server = _Server(app, lambda: on_started(where))
        # uvicorn stops cleanly and then raises the signal again, for whoever called it.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


@contextlib.contextmanager
def running(app: ASGIApp, port: int = 0, *, host: str = "127.0.0.1") -> Iterator[RunningSimulator]:
    """Serve from a thread of this process while the block runs. Leaving it breaks what connections are open.

    ValueError for a host beyond loopback, PortInUseError for a port that is taken.
    """
    with _bound(host, port) as listener:
        settled = threading.Event()
        server = _Server(app, settled.set)

        def run() -> None:
            try:
                server.run(sockets=[listener])
            finally:
                settled.set()

        thread = threading.Thread(target=run, name=f"simulator:{listener.getsockname()[1]}", daemon=True)
        thread.start()
        settled.wait()
        if not server.started:
            thread.join()
            raise StartError("The simulator ended while starting; the traceback above says why.")
        try:
            yield _where(host, listener)
        finally:
            server.stop()
            thread.join()


class _Server(uvicorn.Server):
    """uvicorn's server, made to stop at once: a hanging request must not hold up a test."""

    def __init__(self, app: ASGIApp, on_started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                http=BreakableProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=75,  # seconds; uvicorn's own 5 break idle clients, which no vendor does so soon
            )
        )
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_started()

    async def main_loop(self) -> None:
        """Tick as uvicorn does, but wake when told to stop."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), timeout=0.1)

    def stop(self) -> None:
        """Stop serving; callable from any thread, and more than once."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has stopped already
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End without uvicorn's grace: break the connections, cancel what still answers them."""
        for listening in self.servers:
            listening.close()
        for listener in sockets or ():
            listener.close()
        # Connections first: an app whose client is gone ends by itself, and nothing is logged as an error.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self.servers:
            await listening.wait_closed()


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    address = _loopback(host)
    listener = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((str(address), port))
            listener.listen(BACKLOG)
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise PortInUseError(host, port) from problem
            raise
        yield listener
    finally:
        listener.close()


def _loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise ValueError(
            f"A simulator checks no keys worth the name and keeps what it is sent, so it serves this machine only: "
            f"host must be 127.0.0.1, ::1 or localhost, not {host!r}."
        )
    return address


def _where(host: str, listener: socket.socket) -> RunningSimulator:
    return RunningSimulator(host="127.0.0.1" if host == "localhost" else host, port=listener.getsockname()[1])
