"""What a struck request gets to see."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace

from starlette.types import Message, Receive, Scope, Send

from crm_sync_pipeline.simulators.exchange import JSON, Answer, Headers
from crm_sync_pipeline.simulators.faults import KINDS, Fault
from crm_sync_pipeline.simulators.transport import client_gone, reset_connection

HTML = b"text/html; charset=UTF-8"
DRIPS = 20

# What stands between a vendor and its clients says this, whoever the vendor is. Envoy's sentence is its own; the
# two pages are shortened from those Cloudflare serves.
PROXY_ANSWERS: Mapping[str, Answer] = {
    "status-500-empty": Answer(500),
    "status-502-html": Answer(
        502,
        b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>"
        b"\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n",
        HTML,
    ),
    "status-503": Answer(
        503,
        b"upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        b"text/plain",
    ),
    "status-524-html": Answer(
        524,
        b'<!DOCTYPE html>\n<html lang="en-US">\n<head><title>524: A timeout occurred</title></head>\n<body>'
        b"<h1>A timeout occurred</h1><p>Error code 524</p></body>\n</html>\n",
        HTML,
    ),
}

# What no vendor sends and a client must survive. All invented.
NONSENSE: Mapping[str, Answer] = {
    "garbage-201": Answer(201, b'{"id": 4', JSON),
    "empty-201": Answer(201, b"", JSON),
    "unexpected-200": Answer(200, b'[{"status":"ok"},null]', JSON),
}

SILENT = frozenset({"reset-before-write", "reset-after-write", "hang"})


def writes(fault: Fault) -> bool:
    """Whether the request is carried out although the fault strikes it."""
    return KINDS[fault.kind].wrote if fault.wrote is None else fault.wrote


def faulty_answer(fault: Fault, true_answer: Answer | None, vendor_answers: Mapping[str, Answer]) -> Answer | None:
    """Choose what is sent in place of the true answer (None where the request was not carried out).

    None: nothing is sent at all.
    """
    if fault.kind in SILENT:
        return None
    if fault.kind == "megabyte-body":
        return _padded(true_answer) if true_answer else Answer(200, b"{}", JSON)
    for answers in (vendor_answers, PROXY_ANSWERS, NONSENSE):
        if fault.kind in answers:
            return answers[fault.kind]
    truth = true_answer or Answer(200, b"{}", JSON)
    return replace(truth, content_type=HTML) if fault.kind == "wrong-content-type" else truth


def _padded(truth: Answer) -> Answer:
    """The true answer with a megabyte that it does not need; as it is where it has no JSON object to put that into."""
    try:
        body = json.loads(truth.body)
    except ValueError:
        return truth
    return (
        replace(truth, body=json.dumps({**body, "padding": "x" * (1 << 20)}).encode())
        if isinstance(body, dict)
        else truth
    )


async def break_off(fault: Fault, scope: Scope, receive: Receive) -> None:
    """Leave a request without an answer: break its connection, or wait until the client gives up."""
    if fault.kind == "hang":
        await client_gone(receive)
    else:
        await reset_connection(scope, receive)


async def send_answer(answer: Answer, headers: Headers, send: Send, drip_seconds: float = 0) -> None:
    """Send an answer whole, or in drips. A body that is not there cannot drip: then the answer comes late."""
    labelled = [*headers, *answer.headers]
    if answer.content_type is not None:
        labelled.append((b"content-type", answer.content_type))
    if answer.status != 204:
        labelled.append((b"content-length", str(len(answer.body)).encode()))
    if drip_seconds and not answer.body:
        await asyncio.sleep(drip_seconds)
    start: Message = {"type": "http.response.start", "status": answer.status, "headers": labelled}
    await send(start)
    if drip_seconds and answer.body:
        size = -(-len(answer.body) // DRIPS)
        drips = [answer.body[begin : begin + size] for begin in range(0, len(answer.body), size)]
        for drip in drips:
            await asyncio.sleep(drip_seconds / len(drips))
            await send({"type": "http.response.body", "body": drip, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": answer.body})


def drip_seconds(fault: Fault | None) -> float:
    """How long the body of a struck answer takes; 0 for all faults but slow-body."""
    if fault is None or fault.kind != "slow-body":
        return 0
    milliseconds = KINDS[fault.kind].default_ms if fault.milliseconds is None else fault.milliseconds
    return (milliseconds or 0) / 1000
