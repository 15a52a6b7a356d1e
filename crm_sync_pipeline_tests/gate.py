"""A gate in front of a simulator, as a firewall or an account's limit is: it answers some requests itself."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

FORBIDDEN = (403, "text/html", b"<html><title>403 Forbidden</title>Request blocked</html>")

Answer = tuple[int, str, bytes]


def refusal(message: str, code: str = "invalid_parameter", status: int = 400) -> Answer:
    """An error in Brevo's own form."""
    return status, "application/json", json.dumps({"code": code, "message": message}).encode()


@dataclass
class Gate:
    """`rule` says what a contact's payload is answered with; None lets it pass. `seen` are the addresses that came."""

    app: ASGIApp
    rule: Callable[[dict[str, Any]], Answer | None] = lambda _payload: None
    seen: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/contacts"):
            await self.app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        payload = json.loads(body)
        self.seen.append(payload["email"])
        if answer := self.rule(payload):
            status, kind, content = answer
            headers = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})
            return
        replayed = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def again() -> Message:
            return next(replayed, None) or await receive()

        await self.app(scope, again, send)

    def refuse(self, answer: Answer, *addresses: str) -> None:
        """Answer so for these addresses; for everybody, where none is given."""
        self.rule = lambda payload: answer if not addresses or payload["email"] in addresses else None
