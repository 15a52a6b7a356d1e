"""A webhook's receiver and a mail server, both real and on loopback, that keep what they were sent."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crm_sync_pipeline.simulators.server import running


@dataclass
class Receiver:
    """What came, in order. While `refuses`, it takes nothing."""

    url: str = ""
    got: list[str] = field(default_factory=list)
    refuses: bool = False
    attempts: int = 0
    unknown: tuple[str, ...] = ()
    recipients: list[str] = field(default_factory=list)


@contextmanager
def webhook() -> Iterator[Receiver]:
    receiver = Receiver()

    async def take(request: Request) -> Response:
        receiver.attempts += 1
        if receiver.refuses:
            return Response("no_service", 503)
        receiver.got.append(json.loads(await request.body())["text"])
        return Response("ok")

    with running(Starlette(routes=[Route("/services/sesame", take, methods=["POST"])])) as server:
        receiver.url = f"{server.base_url}/services/sesame"
        yield receiver


class _Takes:
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def handle_RCPT(  # noqa: N802 # aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self._receiver.unknown:
            return "550 No such user"
        envelope.rcpt_tos.append(address)
        return "250 Known"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 # aiosmtpd's name
        self._receiver.attempts += 1
        if self._receiver.refuses:
            return "451 Try again later"
        mail: Any = BytesParser(policy=default).parsebytes(envelope.content)
        self._receiver.recipients = envelope.rcpt_tos
        self._receiver.got.append(f"{mail['Subject']}\n{mail.get_content()}".replace("\r", ""))
        return "250 Taken"


@contextmanager
def mail_server() -> Iterator[Receiver]:
    receiver = Receiver()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(_Takes(receiver), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        receiver.url = f"smtp://127.0.0.1:{port}"
        yield receiver
    finally:
        controller.stop()
