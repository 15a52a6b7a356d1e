"""One request and its answer, as every simulator sees them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.types import Receive, Scope

Headers = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"
_UNREAD = object()
_compact = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class Answer:
    """What goes back: status, body, its content type (none where there is no body to label) and headers of its own."""

    status: int
    body: bytes = b""
    content_type: bytes | None = None
    headers: Headers = ()

    @property
    def wrote(self) -> bool:
        """Whether a request with this answer was carried out: any 2xx."""
        return 200 <= self.status < 300


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class Request:
    """A request whose body has been read whole. Header names are lower case, as ASGI gives them."""

    __slots__ = ("_json", "body", "headers", "method", "path", "query_string", "raw_path")

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        # raw_path keeps an escaped slash apart from a real one: a%2Fb@example.com is one identifier.
        self.raw_path: str = (scope.get("raw_path") or self.path.encode()).decode("ascii", "replace")
        self.query_string: bytes = scope["query_string"]
        self.headers: Headers = scope["headers"]
        self.body = body
        self._json: Any = _UNREAD

    def header(self, name: bytes) -> str | None:
        """Read the first header of that (lower-case) name, or None."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None

    def json(self) -> Any:
        """Parse the body, once. ValueError when it is not JSON."""
        if self._json is _UNREAD:
            try:
                self._json = json.loads(self.body, parse_constant=_refuse_constant)
            except (ValueError, RecursionError) as problem:
                self._json = ValueError(f"The body is not JSON: {problem}")
        if isinstance(self._json, ValueError):
            raise self._json
        return self._json

    def json_object(self) -> Mapping[str, Any]:
        """Parse the body as an object; an empty one when it is anything else."""
        try:
            body = self.json()
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def query(self) -> dict[str, list[str]]:
        """Read the query string; a repeated name keeps all its values."""
        return parse_qs(self.query_string.decode("latin-1"), keep_blank_values=True)


async def read_body(receive: Receive) -> bytes | None:
    """Read a request's body whole. None when the client left before it had sent it all."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def json_answer(status: int, body: Any) -> Answer:
    """Build an answer from a JSON value, written without blanks as the vendors do."""
    return Answer(status, _compact(body).encode(), JSON)
