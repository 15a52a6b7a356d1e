"""One HTTP exchange: a request sent, and its answer read to its end."""

import asyncio
from collections.abc import Mapping
from functools import lru_cache

import httpx

from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.destinations.statuses import PROXY_WANTS_LOGIN
from crm_sync_pipeline.domain.outcome import Failed

TIMED_OUT = "timeout"


async def exchange(
    client: httpx.AsyncClient, request: httpx.Request, limit_seconds: float, title: str
) -> Answer | Failed:
    """Send a request and read its answer; `Failed` where none came in time. `title` names who is asked."""
    request.headers.encoding = "ascii"  # which they are: httpx would find out by trying, for each request
    try:
        response = await asyncio.wait_for(client.send(request), limit_seconds)
    except asyncio.TimeoutError:
        return Failed(TIMED_OUT, f"{title} did not answer within {limit_seconds:g} seconds")
    except Exception as error:  # httpx has errors outside HTTPError, and so have its transports
        if getattr(error.__cause__, "status", None) == PROXY_WANTS_LOGIN:  # there is no way to the vendor yet
            return Answer(PROXY_WANTS_LOGIN, {}, b"")
        what = type(error.__cause__ or error).__name__  # the transport's own word: httpx has none for a cut line
        return Failed("connection_lost", f"Connection to {title} failed: {what}")
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
    return Answer(response.status_code, headers, response.content)


@lru_cache(maxsize=64)
def address_of(base_url: str, path: str) -> httpx.URL:
    """Below the base URL, or a whole URL as it is. Parsed once: httpx would do so for each request."""
    return httpx.URL(path if "://" in path else f"{base_url.rstrip('/')}{path}")


def printable(text: str) -> str:
    """The text with a blank for each character that PostgreSQL can't store (NUL, half a surrogate pair) or print."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def number_in(headers: Mapping[str, str], name: str) -> float | None:
    """The header as a number; None where it is missing or is not a number."""
    try:
        return float(headers[name])
    except (KeyError, ValueError):
        return None
