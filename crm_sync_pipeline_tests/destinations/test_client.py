"""The client of all destinations, over real HTTP."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from crm_sync_pipeline.destinations.client import client_for
from crm_sync_pipeline.simulators.server import running


class Baker:
    """Answers 302 with a cookie for all there is, and remembers the headers of each request."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        headers = [(b"set-cookie", b"a=b; path=/"), (b"location", b"/elsewhere"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body"})


def ask_twice(url: str) -> Sequence[httpx.Response]:
    async def work() -> Sequence[httpx.Response]:
        async with client_for(url, {"api-key": "k"}, connections=1) as client:
            return [await client.send(httpx.Request("GET", url, headers=client.headers)) for _ in range(2)]

    return asyncio.run(work())


def test_it_keeps_no_cookies_and_follows_nobody() -> None:
    baker = Baker()
    with running(baker) as server:
        answers = ask_twice(f"http://localhost:{server.port}")  # cookies of a mere address are kept by nobody
    assert [answer.status_code for answer in answers] == [302, 302]
    assert answers[0].headers["set-cookie"] == "a=b; path=/", "there was one"
    assert [("cookie" in headers, headers["api-key"]) for headers in baker.seen] == [(False, "k")] * 2


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_it_goes_by_the_proxy_of_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Baker()
    with running(proxy) as server:
        monkeypatch.setenv(variable, server.base_url)
        assert [answer.status_code for answer in ask_twice("http://brevo.invalid/v3")] == [302, 302]
    assert [headers["host"] for headers in proxy.seen] == ["brevo.invalid"] * 2


def test_but_not_to_a_host_that_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    baker = Baker()
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    with running(baker) as server:
        assert [answer.status_code for answer in ask_twice(server.base_url)] == [302, 302]
    assert len(baker.seen) == 2
