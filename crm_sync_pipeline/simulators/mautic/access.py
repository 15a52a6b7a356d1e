"""Who may call Mautic: the switches, basic auth, OAuth2 with client credentials, and the hourly limit."""

import base64
import binascii
import random
from collections.abc import Mapping
from urllib.parse import parse_qsl

from crm_sync_pipeline.simulators.exchange import Answer, Request, json_answer
from crm_sync_pipeline.simulators.limiter import Clock, Reading
from crm_sync_pipeline.simulators.mautic import answers
from crm_sync_pipeline.simulators.mautic.config import MauticConfig, Switches


class Access:
    """What stands before the controllers."""

    def __init__(self, config: MauticConfig, switches: Switches, clock: Clock) -> None:
        self._config, self._switches, self._clock = config, switches, clock
        self._names = random.Random(config.seed)  # noqa: S311  # repeatable on purpose
        self._tokens: dict[str, float] = {}
        self._hour_began_at, self._calls = clock(), 0

    @property
    def tokens(self) -> int:
        """How many tokens have been given and not been revoked, expired ones among them."""
        return len(self._tokens)

    def revoke(self) -> int:
        """Make every token invalid; how many there were."""
        count = len(self._tokens)
        self._tokens.clear()
        return count

    def switched_off(self, request: Request) -> Answer | None:
        """The refusal of an API, or of a way to log in, that is off. It comes before anything is looked at."""
        if not self._switches.api_enabled:
            return answers.API_DISABLED
        if _has_basic(request) and not self._switches.basic_auth_enabled:
            return answers.BASIC_DISABLED
        return None

    def not_logged_in(self, request: Request) -> Answer | None:
        """The refusal of a token or a password."""
        scheme, _, value = (request.header(b"authorization") or "").partition(" ")
        if scheme.lower() == "basic":
            user, password = _basic(value)
            return None if self._config.users.get(user, object()) == password else answers.WRONG_LOGIN
        if scheme.lower() != "bearer":
            return answers.NO_LOGIN
        ends_at = self._tokens.get(value.strip())
        if ends_at is None:
            return answers.TOKEN_INVALID
        return answers.TOKEN_EXPIRED if ends_at <= self._clock() else None

    def token(self, request: Request) -> Answer:
        """POST /oauth/v2/token: a token for a known client; there is no refresh token. The form is read, not JSON."""
        form: Mapping[str, str] = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if form.get("grant_type") != "client_credentials":
            return answers.NO_GRANT
        if self._config.clients.get(form.get("client_id", ""), object()) != form.get("client_secret"):
            return answers.WRONG_CLIENT
        token = f"{self._names.getrandbits(320):080x}"
        self._tokens[token] = self._clock() + self._config.token_seconds
        seconds = int(self._config.token_seconds)
        return json_answer(200, {"access_token": token, "expires_in": seconds, "token_type": "bearer", "scope": ""})

    def take_call(self) -> tuple[bool, Reading]:
        """Count a call against the hour; whether it is within the limit. A limit of 0 stands for none."""
        limit = self._config.calls_per_hour
        if limit is None:
            return True, Reading(0, 0, 0)
        if self._clock() - self._hour_began_at >= 3600:
            self._hour_began_at, self._calls = self._clock(), 0
        self._calls += 1
        left_seconds = 3600 - (self._clock() - self._hour_began_at)
        return self._calls <= limit, Reading(limit, max(0, limit - self._calls), left_seconds)


def _has_basic(request: Request) -> bool:
    return (request.header(b"authorization") or "").lower().startswith("basic")


def _basic(value: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password
