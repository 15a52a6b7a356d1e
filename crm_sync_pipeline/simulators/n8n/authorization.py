"""Who may call the webhook: the three kinds of auth that a Webhook node offers."""

import base64
import hashlib
import hmac
import json

from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline.simulators.n8n.answers import (
    BASIC_MISSING,
    HEADER_WRONG,
    JWT_MALFORMED,
    JWT_MISSING,
    JWT_NOT_SIGNED,
    JWT_WRONG,
)
from crm_sync_pipeline.simulators.n8n.config import USER, N8nConfig


def refusal(config: N8nConfig, request: Request) -> Answer | None:
    """The answer to somebody who may not call, or None."""
    sent = request.header(b"authorization")
    if config.auth == "header":
        return None if sent == f"Bearer {config.secret}" else HEADER_WRONG
    if config.auth == "basic":
        if sent is None or not sent.startswith("Basic "):
            return BASIC_MISSING
        wanted = base64.b64encode(f"{USER}:{config.secret}".encode()).decode()
        return None if sent == f"Basic {wanted}" else HEADER_WRONG
    if config.auth == "jwt":
        if sent is None or not sent.startswith("Bearer "):
            return JWT_MISSING
        return _refusal_of_token(sent.removeprefix("Bearer "), config.secret)
    return None


def _refusal_of_token(token: str, secret: str) -> Answer | None:
    """The answer to a JSON web token that HS256 and this secret have not signed, or None."""
    if token.count(".") != 2:
        return JWT_MALFORMED
    head, _, signature = token.rpartition(".")
    try:
        json.loads(base64.urlsafe_b64decode(head.partition(".")[0] + "=="))
    except ValueError:
        return JWT_WRONG
    return None if hmac.compare_digest(signature.encode(), _signature(head, secret).encode()) else JWT_NOT_SIGNED


def signed(claims: dict[str, str], secret: str) -> str:
    """A JSON web token by HS256."""
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    head = ".".join(_unpadded(json.dumps(part).encode()) for part in parts)
    return f"{head}.{_signature(head, secret)}"


def _signature(head: str, secret: str) -> str:
    return _unpadded(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
