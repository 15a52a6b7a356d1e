"""OAuth2 client credentials: a token is kept per Mautic and client in this process, and asked for once for all.

`POST /oauth/v2/token` gives one for an hour, without a refresh token. https://developer.mautic.org/#oauth-2
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import httpx

from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.domain.outcome import Failed

TOKEN_PATH = "/oauth/v2/token"  # noqa: S105 # a path
FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}

USUAL_SECONDS = 3600.0
RENEWED_BEFORE_SECONDS = 60.0
"""How long before its end a token is renewed; a tenth of its life where that is shorter."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it is to be sent."""

    method: str
    path: str
    body: bytes | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


Ask = Callable[[Sent], Awaitable[Answer | Failed]]


@dataclass(frozen=True, slots=True)
class TokenRefused(Answer):
    """The answer to a request for a token that brought none."""


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str = field(repr=False)
    renewed_at: float


_kept: dict[str, _Kept] = {}
_locks: MutableMapping[httpx.AsyncClient, asyncio.Lock] = WeakKeyDictionary()
"""A lock belongs to an event loop, and so does a client: there is one of each in a run."""


class Tokens:
    """The token of one client at one Mautic."""

    def __init__(self, base_url: str, client_id: str, client_secret: str) -> None:
        self._form = urlencode(
            {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        ).encode()
        self._key = hashlib.sha256(f"{base_url}\n".encode() + self._form).hexdigest()

    async def call(self, client: httpx.AsyncClient, ask: Ask, sent: Sent) -> Answer | Failed:
        """The answer to a request that carries the token; where that is refused, once more with a new one."""
        refused: str | None = None
        while True:
            token = await self._get(client, ask, refused)
            if not isinstance(token, str):
                return token
            answer = await ask(replace(sent, headers={**sent.headers, "authorization": f"Bearer {token}"}))
            if isinstance(answer, Failed) or answer.status != 401 or refused:
                return answer
            refused = token

    async def _get(self, client: httpx.AsyncClient, ask: Ask, refused: str | None) -> str | TokenRefused | Failed:
        """The token that is kept, or a new one where it is about to end or was refused: one request for all."""
        if token := self._good(refused):
            return token
        async with _locks.setdefault(client, asyncio.Lock()):
            if token := self._good(refused):
                return token
            answer = await ask(Sent("POST", TOKEN_PATH, self._form, FORM_TYPE))
            if isinstance(answer, Failed):
                return answer
            return self._keep(answer) or TokenRefused(answer.status, answer.headers, answer.body)

    def _good(self, refused: str | None) -> str | None:
        kept = _kept.get(self._key)
        return kept.token if kept and kept.token != refused and time.monotonic() < kept.renewed_at else None

    def _keep(self, answer: Answer) -> str | None:
        data = answer.data if answer.status == 200 else None
        token = data.get("access_token") if isinstance(data, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            return None
        seconds = data.get("expires_in") if isinstance(data, dict) else None
        lasts = float(seconds) if isinstance(seconds, (int, float)) and seconds > 0 else USUAL_SECONDS
        _kept[self._key] = _Kept(token, time.monotonic() + lasts - min(RENEWED_BEFORE_SECONDS, lasts / 10))
        return token
