"""What n8n says, word for word: measured on n8n 2.8.4 where nothing else stands beside it, in November 2026.

"Source" marks what was read in n8n's source; "invented" is ours, for want of any recording: n8n itself never answers
so, but a Respond to Webhook node or a proxy before n8n may.
"""

import html
import json
from collections.abc import Mapping
from typing import Any

from crm_sync_pipeline.simulators.exchange import Answer

JSON = b"application/json; charset=utf-8"
HTML = b"text/html; charset=utf-8"

_REALM = ((b"www-authenticate", b'Basic realm="Webhook"'),)
_OF_EXPRESS = ((b"content-security-policy", b"default-src 'none'"), (b"x-content-type-options", b"nosniff"))

_MUST_BE_ACTIVE = (
    "The workflow must be active for a production URL to run successfully. You can activate the workflow using the "
    "toggle in the top-right of the editor. Note that unlike test URL calls, production URL calls aren't shown on the "
    "canvas (only in the executions list)"
)
_CLICK_FIRST = (
    "Click the 'Execute workflow' button on the canvas, then try again. (In test mode, the webhook only works for one "
    "call after you click this button)"
)


def json_answer(status: int, body: Any) -> Answer:
    """JSON as Express labels it."""
    return Answer(status, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(), JSON)


def error(status: int, code: int, message: str, hint: str | None = None, *, shows_stack: bool = True) -> Answer:
    """n8n's error envelope. `code` is 0 for an error that n8n did not foresee."""
    body: dict[str, Any] = {"code": code, "message": message}
    if hint is not None:
        body["hint"] = hint
    if shows_stack:
        body["stacktrace"] = f"Error: {message}\n    at simulated"
    return json_answer(status, body)


def denied(status: int, words: str) -> Answer:
    """The Webhook node refuses who calls: bare text without a content type, and a realm whatever the kind of auth."""
    return Answer(status, words.encode(), headers=_REALM)


HEADER_WRONG = denied(403, "Authorization data is wrong!")
BASIC_MISSING = denied(401, "Authorization is required!")
JWT_MISSING = denied(401, "No token provided")
JWT_MALFORMED = denied(403, "jwt malformed")
JWT_WRONG = denied(403, "invalid token")
JWT_NOT_SIGNED = denied(403, "invalid signature")

STARTING_UP = Answer(200, b"n8n is starting up. Please wait", HTML)
HEALTHY = json_answer(200, {"status": "ok"})
NOT_READY = json_answer(503, {"status": "error"})  # Source: abstract-server.ts
STARTED = json_answer(200, {"message": "Workflow was started"})
WORKFLOW_ERROR = json_answer(500, {"message": "Error in workflow"})
NOTHING = Answer(200, b"", JSON)
"""No body is asked for; or the workflow has failed, or come to an end, before its Respond to Webhook node."""


def database_lost(shows_stack: bool) -> Answer:
    """n8n runs, and its database does not. Source: abstract-server.ts."""
    return error(503, 503, "Database is not ready!", shows_stack=shows_stack)


def no_respond_node(shows_stack: bool) -> Answer:
    """The workflow failed before its Respond to Webhook node."""
    return error(500, 0, "No Respond to Webhook node found in the workflow", shows_stack=shows_stack)


def not_registered(method: str, path: str, shows_stack: bool) -> Answer:
    """No active workflow has a webhook of this path."""
    said = f'The requested webhook "{method} {path}" is not registered.'
    return error(404, 404, said, _MUST_BE_ACTIVE, shows_stack=shows_stack)


def not_listening(path: str, shows_stack: bool) -> Answer:
    """Nobody has just clicked on the test URL's button."""
    return error(404, 404, f'The requested webhook "{path}" is not registered.', _CLICK_FIRST, shows_stack=shows_stack)


def other_method(method: str, registered: str, shows_stack: bool) -> Answer:
    """The path is known, and not for this method."""
    said = f"This webhook is not registered for {method} requests. Did you mean to make a {registered} request?"
    return error(404, 404, said, shows_stack=shows_stack)


def not_json(hint: str, shows_stack: bool) -> Answer:
    """The body is not JSON; `hint` is the parser's."""
    return error(422, 422, "Failed to parse request body", hint, shows_stack=shows_stack)


def too_large(shows_stack: bool) -> Answer:
    """The body is beyond N8N_PAYLOAD_SIZE_MAX. It is not a 413."""
    return error(500, 0, "There was a problem executing the workflow", shows_stack=shows_stack)


def no_route(method: str, path: str) -> Answer:
    """Express has no route: n8n has not added its own yet."""
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n<body>\n'
        f"<pre>Cannot {html.escape(method)} {html.escape(path)}</pre>\n</body>\n</html>\n"
    )
    return Answer(404, page.encode(), HTML, _OF_EXPRESS)


def methods_of(methods: tuple[str, ...], *, to_browser: bool) -> Answer:
    """The answer to OPTIONS: to a browser, the methods that are registered for the path. Nothing is executed."""
    named = ((b"access-control-allow-methods", ", ".join(("OPTIONS", *methods)).encode()),)
    return Answer(204, headers=named if to_browser else ())


def _page(status: int, words: str) -> Answer:
    """A page of the proxy before n8n."""
    page = (
        f"<html>\r\n<head><title>{status} {words}</title></head>\r\n<body><h1>{status} {words}</h1></body>\r\n</html>"
    )
    return Answer(status, page.encode(), b"text/html")


FAULT_ANSWERS: Mapping[str, Answer] = {
    # Of a workflow that looks at the contact and answers by a Respond to Webhook node: invented.
    "status-400": json_answer(400, {"message": "The contact is not valid"}),
    "status-401-key": BASIC_MISSING,
    "status-401-ip": denied(403, "IP is not whitelisted to access the webhook!"),  # Source: Webhook.node.ts
    "status-402": json_answer(402, {"message": "Payment required"}),  # invented
    "status-403": HEADER_WRONG,
    "status-404": not_registered("POST", "crm-sync", shows_stack=True),
    "status-405": _page(405, "Not Allowed"),  # invented
    "status-425": _page(425, "Too Early"),  # invented
    "status-429": _page(429, "Too Many Requests"),  # invented: n8n has no rate limit
}
