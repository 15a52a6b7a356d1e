"""The client of all destinations, over real HTTP."""

import asyncio
from collections.abc import Sequence

import httpx
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


def ask_twice(url: str) -> tuple[Sequence[httpx.Response], int]:
    """The answers, and how many cookies the client holds then."""

    async def work() -> tuple[Sequence[httpx.Response], int]:
        async with client_for(url, {"api-key": "k"}, connections=1) as client:
            answers = [await client.send(httpx.Request("GET", url, headers=client.headers)) for _ in range(2)]
            return answers, len(client.cookies.jar)

    return asyncio.run(work())


def test_it_keeps_no_cookies_and_follows_nobody() -> None:
    baker = Baker()
    with running(baker) as server:
        answers, cookies = ask_twice(server.base_url)
    assert [answer.status_code for answer in answers] == [302, 302]
    assert answers[0].headers["set-cookie"] == "a=b; path=/", "there was one"
    assert cookies == 0
    assert [("cookie" in headers, headers["api-key"]) for headers in baker.seen] == [(False, "k")] * 2
