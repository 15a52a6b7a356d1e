"""What Brevo says, word for word where its words are known.

Marks in this file and its neighbours: "unverified" is inferred or was seen once; "invented" is ours, for want of any
recording. Where neither stands, Brevo's documents or several recordings agree.
Sources: https://developers.brevo.com/reference and recordings in public code, read in November 2026.
"""

import json
from collections.abc import Mapping, Sequence

from crm_sync_pipeline.simulators.exchange import JSON, Answer, json_answer

NO_CONTENT = Answer(204)


class Refused(Exception):  # noqa: N818  # an answer more than an error: it ends the request and nothing else
    """The request is refused with this answer, and has changed nothing."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body.decode())
        self.answer = answer


def error(status: int, code: str, message: str, **metadata: Sequence[str]) -> Answer:
    """Build Brevo's error envelope: flat, code first; `metadata` only on writes to contacts."""
    body: dict[str, object] = {"code": code, "message": message}
    if metadata:
        body["metadata"] = metadata
    return json_answer(status, body)


def invalid(message: str) -> Refused:
    """Refuse a value."""
    return Refused(error(400, "invalid_parameter", message))


def _unauthorized(message: str) -> Answer:
    # The gateway in front writes message before code and ends the line: Content-Length 72 in
    # https://github.com/getbrevo/brevo-python/issues/13 (June 2025).
    body = json.dumps({"message": message, "code": "unauthorized"}, separators=(",", ":"))
    return Answer(401, body.encode() + b"\n", JSON)


NO_KEY = _unauthorized("authentication not found in headers")
WRONG_KEY = _unauthorized("Key not found")
WRONG_ADDRESS = _unauthorized(
    "We have detected you are using an unrecognised IP address 203.0.113.7. If you performed this action make sure "
    "to add the new IP address in this link: https://app.brevo.com/security/authorised_ips"
)
# The status is documented, the body nowhere published: invented.
TOO_MANY_REQUESTS = error(429, "too_many_requests", "Too many requests")
NO_CONTACT = error(404, "document_not_found", "Contact does not exist")
NO_IDENTIFIER = error(400, "missing_parameter", "Please provide Email or SMS attribute value to create user")  # 2017
NO_PROCESS = error(404, "invalid_parameter", "processId is invalid")
NO_FOLDER = error(400, "document_not_found", "Folder ID does not exist")  # recorded once; no 404 is declared
NO_LIST = error(404, "document_not_found", "List ID does not exist")  # unverified: the wording
NOTHING_ADDED = error(400, "invalid_parameter", "Contact already in list and/or does not exist")
ATTRIBUTE_EXISTS = error(400, "invalid_parameter", "Attribute name must be unique")
NOT_JSON_TYPE = error(400, "invalid_parameter", "Content-Type must be application/json")  # wording invented
NOT_JSON = error(400, "invalid_parameter", "The request body is not valid JSON")  # invented


def unknown_list(is_404: bool) -> Answer:
    """Refuse a list that contacts or an import should join. Invented: there is no recording of this case."""
    return NO_LIST if is_404 else error(400, "invalid_parameter", "List ID does not exist")


def wrong_method(method: str) -> Answer:
    """Answer a method that the path does not know."""
    return error(405, "method_not_allowed", f"{method} Method is not allowed on this path")


def unknown_path(method: str, path: str) -> Answer:
    """Answer a path the simulator does not serve. Brevo may well serve it, so the answer says whose gap it is."""
    return error(404, "document_not_found", f"The simulator does not serve {method} {path}")


FAULT_ANSWERS: Mapping[str, Answer] = {
    "status-400": error(400, "invalid_parameter", "Invalid phone number"),
    "status-401-key": WRONG_KEY,
    "status-401-ip": WRONG_ADDRESS,
    # Both codes are in the enum of the OpenAPI document; no recording, so the sentences are invented.
    "status-402": error(402, "not_enough_credits", "Insufficient credits"),
    "status-403": error(403, "permission_denied", "Permission denied"),
    "status-404": NO_CONTACT,
    "status-405": wrong_method("POST"),
    # Declared for writes to contacts; code and sentence are unverified.
    "status-425": error(425, "account_in_process", "Account is being processed, please try again later"),
    "status-429": TOO_MANY_REQUESTS,
}
