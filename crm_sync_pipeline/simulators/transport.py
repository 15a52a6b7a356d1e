"""Reach the TCP connection under a request, so that a fault can break it."""

import socket
import struct
from asyncio import Transport
from typing import Any

from starlette.types import Receive, Scope
from uvicorn.protocols.http.auto import AutoHTTPProtocol

_KEY = "crm_sync.transport"
_LINGER_OFF = struct.pack("ii", 1, 0)


# ASGI hides the connection on purpose. Both of uvicorn's protocols (httptools and h11) copy `app_state`, the
# lifespan state, into each request's scope["state"]; so one more entry there, made when the connection is made,
# hands the transport to the app, and works the same for either protocol and loop.
class BreakableProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen by uvicorn at import time
    """uvicorn's HTTP protocol, with the transport in every request's scope."""

    app_state: dict[str, Any]

    def connection_made(self, transport: Transport) -> None:
        """Note the transport before the first request can come."""
        self.app_state = {**self.app_state, _KEY: transport}
        super().connection_made(transport)


async def reset_connection(scope: Scope, receive: Receive) -> None:
    """Break the connection with a TCP reset, and return when the server has seen it gone.

    RuntimeError under a server that does not use `BreakableProtocol`.
    """
    transport = scope.get("state", {}).get(_KEY)
    if transport is None:
        raise RuntimeError("This server cannot reset connections. Serve the app with simulators.server.")
    # With lingering off, closing sends RST and not FIN: the client sees "connection reset by peer".
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
    transport.abort()
    await client_gone(receive)


async def client_gone(receive: Receive) -> None:
    """Wait, for ever if need be, until the connection of this request is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
