"""The client of all destinations, over real HTTP."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
import trustme
from starlette.types import Receive, Scope, Send

from crm_sync_pipeline.destinations import client as client_module
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


HOST = "brevo.invalid"
ANSWER = b'HTTP/1.1 201 Created\r\ncontent-length: 8\r\n\r\n{"id":1}'


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[trustme.CA]:
    """A company's own, which SSL_CERT_FILE names."""
    made = trustme.CA()
    file = tmp_path / "company.pem"
    made.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    client_module._certificates.cache_clear()
    yield made
    client_module._certificates.cache_clear()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(4096):
            writer.write(piece)
    finally:
        writer.close()


async def _post_through_a_tunnel(
    certificate: trustme.LeafCert, proxy: str, proxy_says: bytes = b"200 Connection established"
) -> tuple[httpx.Response, list[str]]:
    """POST to HOST, which a server with that certificate plays, by a proxy that knows CONNECT alone.

    `proxy` is its address, with {} for the port. Returns the answer, and the heads of what proxy and server were asked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    heads: list[str] = []
    is_over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        from_server, to_server = await asyncio.open_connection("127.0.0.1", _port(server))
        writer.write(b"HTTP/1.1 " + proxy_says + b"\r\n\r\n")
        await asyncio.gather(_pipe(reader, to_server), _pipe(from_server, writer), return_exceptions=True)
        is_over.set()

    async with (
        await asyncio.start_server(serve, "127.0.0.1", ssl=context) as server,
        await asyncio.start_server(connect, "127.0.0.1") as tunnel,
    ):
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("HTTPS_PROXY", proxy.format(_port(tunnel)))
            try:
                async with client_for(f"https://{HOST}/v3", {"api-key": "k"}, connections=1) as client:
                    return await client.post("/contacts", content=b"{}"), heads
            finally:
                await asyncio.wait_for(is_over.wait(), 5)


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


@pytest.mark.filterwarnings("ignore:BasicAuth|The 'proxy_auth'")  # httpx-aiohttp's, which aiohttp 4 will not take
def test_it_reaches_a_vendor_over_tls_through_a_proxy_with_a_password(authority: trustme.CA) -> None:
    posted = _post_through_a_tunnel(authority.issue_cert(HOST), "http://ann:se%2Fcret@127.0.0.1:{}")
    answer, (to_proxy, to_vendor) = asyncio.run(posted)
    assert (answer.status_code, answer.json()) == (201, {"id": 1})
    assert to_proxy.startswith(f"CONNECT {HOST}:443 ")
    assert b64encode(b"ann:se/cret").decode() in to_proxy
    assert "api-key" not in to_proxy.lower(), "the key is the vendor's alone"
    assert to_vendor.startswith("POST /v3/contacts ")
    assert "proxy-authorization" not in to_vendor.lower(), "the password is the proxy's alone"


def test_through_a_proxy_too_it_trusts_nobody_else(authority: trustme.CA) -> None:
    with pytest.raises(httpx.TransportError, match="certificate is not valid for") as raised:
        asyncio.run(_post_through_a_tunnel(authority.issue_cert("elsewhere.invalid"), "http://127.0.0.1:{}"))
    assert type(raised.value.__cause__).__name__ == "ClientConnectorCertificateError", "the word that people see"


def test_a_proxy_that_refuses_is_named(authority: trustme.CA) -> None:
    posted = _post_through_a_tunnel(authority.issue_cert(HOST), "http://127.0.0.1:{}", b"407 Who are you?")
    with pytest.raises(httpx.ProxyError) as raised:
        asyncio.run(posted)
    assert type(raised.value.__cause__).__name__ == "ClientHttpProxyError", "the word that people see"
