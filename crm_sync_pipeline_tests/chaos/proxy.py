"""A TCP proxy that fails on request, between a worker and PostgreSQL or a simulator.

    with Proxy(UnixSocket(path)) as proxy:
        connect("127.0.0.1", proxy.port)
        proxy.cut()

It runs in a thread of its own; every method may be called from any thread.
"""

import asyncio
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

T = TypeVar("T")

_NO_LINGER = struct.pack("ii", 1, 0)
_CHUNK = 65_536
_COMMIT = re.compile(rb"COMMIT\x00", re.IGNORECASE)
_HAS_WRITTEN = re.compile(rb"C\x00\x00\x00.(?:INSERT|UPDATE|DELETE) [^\x00]*[1-9]", re.DOTALL)


@dataclass(frozen=True)
class UnixSocket:
    """A server on a Unix socket."""

    path: str


@dataclass(frozen=True)
class Port:
    """A server on 127.0.0.1."""

    number: int


@dataclass(eq=False)
class _Link:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    has_written: bool = False
    swallows_answer: bool = False

    def reset(self) -> None:
        """End both sides; a TCP one sees "connection reset by peer"."""
        for writer in (self.client, self.server):
            if writer is None:
                continue
            connection = writer.get_extra_info("socket")
            with suppress(OSError):
                if connection is not None and connection.family != socket.AF_UNIX:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()


class Proxy:
    """Listens on 127.0.0.1:`port` and passes everything on to `target`, until told otherwise.

    `done` counts what was done: "connections", "cut" (connections), "commits_lost".
    """

    def __init__(self, target: UnixSocket | Port) -> None:
        self.target = target
        self.port = 0
        self.done: Counter[str] = Counter()
        self._links: set[_Link] = set()
        self._delay_seconds = 0.0
        self._commits_to_lose = 0
        self._loop = asyncio.new_event_loop()
        self._passable = asyncio.Event()
        self._passable.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> "Proxy":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def url_of_database(self, name: str) -> str:
        """The URL of a database behind this proxy."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{quote(name)}?sslmode=disable&gssencmode=disable"

    def cut(self) -> int:
        """Reset every connection; new ones are let through. Returns how many there were."""
        return self._soon(self._cut)

    def black_hole(self) -> None:
        """Pass nothing on, of old connections and new ones; nobody is told. Ends with `release`."""
        self._soon(self._passable.clear)

    def release(self, *, cut: bool = False) -> None:
        """End a black hole: what was held is passed on late, or, with `cut`, never, and its connections are reset."""

        def end() -> None:
            if cut:
                self._cut()
            self._passable.set()

        self._soon(end)

    def delay(self, seconds: float) -> None:
        """Pass everything on so much later, in order; 0 ends it."""
        self._delay_seconds = seconds

    def lose_commits(self, count: int = 1) -> None:
        """Let PostgreSQL obey the next COMMITs of transactions that wrote something, and reset before the answer."""
        self._commits_to_lose = count

    def heal(self, *, cut: bool = False) -> None:
        """End every fault; `cut` as in `release`."""
        self.delay(0)
        self.lose_commits(0)
        self.release(cut=cut)

    def _soon(self, work: Callable[[], T]) -> T:
        async def now() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(now(), self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        if self._server:
            self._server.close()
        tasks = [task for link in self._links for task in link.tasks]
        self._cut()
        self._passable.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cut(self) -> int:
        links, self._links = self._links, set()
        for link in links:
            for task in link.tasks:
                task.cancel()
            link.reset()
        self.done["cut"] += len(links)
        return len(links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        task = asyncio.current_task()
        if task:
            link.tasks.append(task)
        self._links.add(link)
        self.done["connections"] += 1
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._serve(link, reader)
        finally:
            self._links.discard(link)
            link.reset()

    async def _serve(self, link: _Link, reader: asyncio.StreamReader) -> None:
        await self._passable.wait()
        if isinstance(self.target, UnixSocket):
            answers, link.server = await asyncio.open_unix_connection(self.target.path)
        else:
            answers, link.server = await asyncio.open_connection("127.0.0.1", self.target.number)
        ways = [
            asyncio.ensure_future(self._pass_requests(link, reader, link.server)),
            asyncio.ensure_future(self._pass_answers(link, answers)),
        ]
        link.tasks += ways
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()

    async def _pass_requests(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tail = b""
        while chunk := await reader.read(_CHUNK):
            await self._hold()
            if _COMMIT.search(tail + chunk):
                if link.has_written and self._commits_to_lose:
                    self._commits_to_lose -= 1
                    link.swallows_answer = True
                link.has_written = False
            tail = chunk[-8:]
            writer.write(chunk)
            await writer.drain()

    async def _pass_answers(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            await self._hold()
            if link.swallows_answer:
                self.done["commits_lost"] += 1
                return
            link.has_written = link.has_written or _HAS_WRITTEN.search(chunk) is not None
            link.client.write(chunk)
            await link.client.drain()

    async def _hold(self) -> None:
        if self._delay_seconds:
            await asyncio.sleep(self._delay_seconds)
        await self._passable.wait()
