"""What an HTTP status says by itself, whoever answers."""

from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

import httpx

from crm_sync_pipeline.domain.masking import redacted

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PROXY_WANTS_LOGIN = 407

OUR_SETUP = frozenset({401, 402, 403, 404, 405, PROXY_WANTS_LOGIN}) | REDIRECTS
"""Statuses that no contact is to blame for: a bad key, a blocked IP address, a wrong URL, a proxy on the way."""

HOLDS_FOR_EVERYBODY = frozenset({401, PROXY_WANTS_LOGIN})
"""Statuses that the data of one contact can't cause: whoever answers so has looked at a key or a password only."""

BLAMES_CONTACT = frozenset({400, 422})

LONGEST_LOCATION = 150


def status_words(status: int) -> str:
    """'not found' for 404."""
    try:
        return httpx.codes(status).name.replace("_", " ").lower()
    except ValueError:
        return "no explanation"


def redirect_words(headers: Mapping[str, str], base_url: str) -> str:
    """'it redirects to https://example.com/login', without user, password and query, which may hold secrets."""
    return f"it redirects to {_address_in(headers.get('location', ''), base_url) or 'an address that cannot be read'}"


def _address_in(location: str, base_url: str) -> str:
    if not location.strip():
        return ""
    try:
        parts = urlsplit(urljoin(f"{base_url.rstrip('/')}/", location.strip()))
    except ValueError:  # brackets without an address in them
        return ""
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme not in ("http", "https") or not host:
        return ""
    shown = f"{parts.scheme}://{host}{parts.path.partition(';')[0]}"
    return redacted("".join(each if each.isprintable() else " " for each in shown))[:LONGEST_LOCATION]
