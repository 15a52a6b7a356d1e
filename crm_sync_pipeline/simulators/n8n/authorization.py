"""Who may call the webhook: the three kinds of auth that a Webhook node offers."""

import base64
import hashlib
import hmac
import json

from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline.simulators.n8n.answers import BASIC_MISSING, HEADER_WRONG, JWT_MISSING, JWT_WRONG
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
        return None if is_signed(sent.removeprefix("Bearer "), config.secret) else JWT_WRONG
    return None


def is_signed(token: str, secret: str) -> bool:
    """Whether it is a JSON web token that HS256 and this secret have signed."""
    head, _, signature = token.rpartition(".")
    wanted = _unpadded(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())
    return hmac.compare_digest(signature.encode(), wanted.encode())


def signed(claims: dict[str, str], secret: str) -> str:
    """A token that `is_signed` accepts."""
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    head = ".".join(_unpadded(json.dumps(part).encode()) for part in parts)
    return f"{head}.{_unpadded(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())}"


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
