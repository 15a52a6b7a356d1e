"""What Mautic says, word for word where its words are known.

Marks in this file and its neighbours: "from the code" follows from Mautic's source and was not seen on the wire;
"unverified" is inferred or was seen once; "invented" is ours, for want of any source. Where none of them stands,
Mautic's source and its own tests, or its documents, say so.
Sources: github.com/mautic/mautic (5.1.1 and later) and its developer documentation, read in November 2026.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from crm_sync_pipeline.simulators.exchange import JSON, Answer, json_answer

Details = Mapping[str, Sequence[str]]

BATCH_LIMIT = 200
NOT_FOUND = "Item was not found."
NO_ACCESS = "You do not have access to the requested area/action."


class Refused(Exception):  # noqa: N818  # an answer more than an error: it ends the request and nothing else
    """The request is refused with this answer, and has changed nothing."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body.decode())
        self.answer = answer


def error(status: int, message: str, details: Details | None = None) -> Answer:
    """Build the error of a controller: details always, an empty list where there are none, and no type."""
    return json_answer(status, {"errors": [{"code": status, "message": message, "details": details or []}]})


def denied(status: int, message: str, kind: str) -> Answer:
    """Build the error of what stands before the controllers: API switch, login, OAuth2."""
    return json_answer(status, {"errors": [{"message": message, "code": status, "type": kind}]})


API_DISABLED = denied(
    403, "API disabled. You need to enable the API in the API settings of Mautic's Configuration.", "api_disabled"
)
BASIC_DISABLED = denied(  # the wording is unverified: it was read in a package that replaces it
    403,
    "Basic Auth disabled. You need to enable HTTP basic auth in the API settings page of your Mautic account.",
    "access_denied",
)
WRONG_LOGIN = denied(401, "Authorization denied, invalid credentials.", "access_denied")
NO_LOGIN = denied(  # unverified
    401, "API authorization denied.", "access_denied"
)
WRONG_CLIENT = denied(400, "The client credentials are invalid", "invalid_client")
NO_GRANT = denied(400, "Invalid grant_type parameter or parameter missing", "invalid_request")
TOKEN_INVALID = denied(401, "The access token provided is invalid.", "invalid_grant")
TOKEN_EXPIRED = denied(401, "The access token provided has expired.", "invalid_grant")

MISSING = error(404, NOT_FOUND)
FORBIDDEN = error(403, NO_ACCESS)
BAD_REQUEST = error(400, "Bad request")  # unverified: the wording
NOT_JSON = error(400, "Invalid json message received")  # unverified
NOT_ROWS = error(500, "Looks like I encountered an error (error #500).")  # from the code: PHP fails; unverified wording
NO_REASON = error(400, "Invalid reason code given")


def batch_too_large(status: int) -> Answer:
    """Refuse a batch of more rows than are taken: 500 in 5.x and 6.x, 400 from 7.2 on, by its documents."""
    return error(status, f"A max of {BATCH_LIMIT} entities are supported at a time.")


def too_many_requests(limit: int) -> Answer:
    """Refuse a call beyond the hourly limit. A text of the configuration, with these very blanks."""
    text = (
        f'{{ "errors": [ {{ "code": 429, "message": "You exceeded the rate limit of {limit} API calls per hour.", '
        '"details": [] } ]}'
    )
    return Answer(429, text.encode(), JSON)


def wrong_method(method: str, path: str) -> Answer:
    """Answer a method that the path does not know. Symfony's sentence; the envelope is unverified."""
    return error(405, f'No route found for "{method} {path}": Method Not Allowed')


def unknown_path(method: str, path: str) -> Answer:
    """Answer a path that the simulator does not serve. Mautic may well serve it, so it says whose gap it is."""
    return error(404, f"The simulator does not serve {method} {path}")


def as_php(keyed: Mapping[int, Any]) -> Any:
    """An array of PHP in JSON: a list where its keys run 0..n in this order, else an object. From the code."""
    if list(keyed) == list(range(len(keyed))):
        return list(keyed.values())
    return {str(key): value for key, value in keyed.items()}


FAULT_ANSWERS: Mapping[str, Answer] = {
    "status-400": error(400, "email: foo@ is invalid.", {"email": ["foo@ is invalid."]}),
    "status-401-key": TOKEN_INVALID,
    "status-401-ip": NO_LOGIN,  # Mautic knows no list of addresses: this stands for a lock before it
    "status-402": error(402, "Payment required"),  # invented: only who hosts a Mautic can ask for money
    "status-403": FORBIDDEN,
    "status-404": MISSING,
    "status-405": wrong_method("POST", "/api/contacts/batch/new"),
    "status-425": error(425, "Too early"),  # invented
    "status-429": too_many_requests(1000),
}
