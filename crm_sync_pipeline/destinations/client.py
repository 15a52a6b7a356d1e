"""The HTTP client that a run talks to its destination with: httpx, carried by aiohttp."""

import ssl
from collections.abc import Mapping
from functools import lru_cache

import httpx
from httpx_aiohttp import HttpxAiohttpClient


def client_for(base_url: str, headers: Mapping[str, str], connections: int) -> httpx.AsyncClient:
    """A client that keeps so many connections, follows no redirect and has no time limit of its own."""
    return _Client(
        base_url=base_url,
        headers=dict(headers),
        timeout=None,
        verify=_certificates(),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        follow_redirects=False,
        trust_env=True,
    )


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """There are none."""


_NO_COOKIES = _NoCookies()


class _Client(HttpxAiohttpClient):
    """Keeps no cookies: no request of ours carries one, and looking for some takes a tenth of the CPU of a call."""

    @property
    def cookies(self) -> httpx.Cookies:
        """None, ever."""
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, _cookies: object) -> None:
        raise AttributeError("this client keeps no cookies")


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Loaded once a process: it takes longer than a hundred calls."""
    return httpx.create_ssl_context()
