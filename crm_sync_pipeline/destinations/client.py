"""The HTTP client that a run talks to its destination with: httpx, carried by aiohttp."""

import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

IDLE_SECONDS = 5.0
"""How long an idle connection is kept: a POST on one that the server is about to close may be lost."""


def client_for(base_url: str, headers: Mapping[str, str], connections: int) -> httpx.AsyncClient:
    """A client that keeps so many connections, goes by the environment's proxy and has no time limit of its own.

    It keeps no cookies, follows no redirect and authenticates with its headers alone.
    """

    def session() -> aiohttp.ClientSession:  # made within the event loop, with the first request
        connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=IDLE_SECONDS, ssl=_certificates())
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    transport = AiohttpTransport(verify=_certificates(), proxy=_proxy_for(httpx.URL(base_url)), client=session)
    return _Client(transport, base_url=base_url, headers=dict(headers), timeout=None)


class _Client(httpx.AsyncClient):
    def __init__(self, transport: httpx.AsyncBaseTransport, **options: Any) -> None:
        super().__init__(transport=transport, **options)
        self._straight = transport

    async def send(self, request: httpx.Request, *, stream: bool = False, **_options: Any) -> httpx.Response:
        """Straight to the transport: what httpx does on the way (cookies, redirects, authentication) is not for us.

        That was a sixth of all the CPU that a contact took.
        """
        response = await self._straight.handle_async_request(request)
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response


def _proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """Of HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, if NO_PROXY does not say otherwise; or as the system is set."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return httpx.Proxy(proxy) if proxy and not proxy_bypass(url.host) else None


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Loaded once a process: it takes longer than a hundred calls."""
    return httpx.create_ssl_context()
