"""A loopback server that answers as Brevo does, and costs next to nothing: no contender waits for it.

It checks nothing and limits nothing; where that matters, the Brevo simulator is the server. It counts what arrives.

    python -m benchmarks.server        prints its port, serves until its standard input is closed

POST /v3/contacts           201 with an id for a new address, 204 for a known one, after the latency
POST /reset                 {"latency_seconds": 0.1}: forget everything
GET  /counts                {"requests": 1000, "contacts": 1000, "most_in_the_air": 32}
"""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import cast

_RATE = (
    b"x-sib-ratelimit-limit: 100000\r\nx-sib-ratelimit-remaining: 99999\r\nx-sib-ratelimit-reset: 1\r\n"
    b"sib-request-id: 3f2b0c1e-9c1d-4c57-8f5e-2a1b3c4d5e6f\r\n"
)


@dataclass
class Account:
    """What arrived since the last reset."""

    latency_seconds: float = 0.0
    requests: int = 0
    in_the_air: int = 0
    most_in_the_air: int = 0
    ids: dict[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """See the module."""
        return {"requests": self.requests, "contacts": len(self.ids), "most_in_the_air": self.most_in_the_air}


class Connection(asyncio.Protocol):
    """One kept-alive HTTP/1.1 connection; bodies come with a Content-Length."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            at = head.find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._received) < end + 4 + length:
                return
            body = self._received[end + 4 : end + 4 + length]
            self._received = self._received[end + 4 + length :]
            self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        account = self._account
        if path == b"/v3/contacts":
            account.requests += 1
            account.in_the_air += 1
            account.most_in_the_air = max(account.most_in_the_air, account.in_the_air)
            if account.latency_seconds:
                self._loop.call_later(account.latency_seconds, self._upsert, body)
            else:
                self._upsert(body)
        elif path == b"/reset":
            account.__init__(**json.loads(body))  # type: ignore[misc] # its own fields, afresh
            self._write(b"204 No Content", b"")
        else:
            self._write(b"200 OK", json.dumps(account.counts()).encode())

    def _upsert(self, body: bytes) -> None:
        account = self._account
        account.in_the_air -= 1
        email = json.loads(body)["email"]
        if email in account.ids:
            self._write(b"204 No Content", b"")
        else:
            number = account.ids[email] = len(account.ids) + 1
            self._write(b"201 Created", b'{"id":%d}' % number)

    def _write(self, status: bytes, body: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            kind = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body) if body else b""
            self._transport.write(b"HTTP/1.1 " + status + b"\r\n" + kind + _RATE + b"\r\n" + body)


async def _serve() -> None:
    account, loop = Account(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(account), "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
