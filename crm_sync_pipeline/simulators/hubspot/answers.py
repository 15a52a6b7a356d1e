"""What HubSpot says, word for word where its words are known.

Marks in this file and its neighbours: "unverified" is inferred or was seen once; "invented" is ours, for want of any
recording. Where neither stands, HubSpot's documents or several recordings agree.
Sources: https://developers.hubspot.com/docs and recordings in public code, read in November 2026.
"""

import json
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_sync_pipeline.simulators.exchange import Answer, json_answer

NO_CONTENT = Answer(204)

_ids = random.Random()  # noqa: S311  # names requests, keeps no secret


def correlation_id() -> str:
    """Name a request as HubSpot does. uuid4 asks the kernel for each one, which costs as much as a request."""
    return str(uuid.UUID(int=_ids.getrandbits(128), version=4))


@dataclass(frozen=True)
class Problem:
    """What is wrong with one row: as an answer of its own, or as an item of a 207."""

    status: int
    category: str
    message: str
    details: Sequence[Mapping[str, Any]] = ()
    context: Mapping[str, Sequence[str]] | None = None


class Refused(Exception):  # noqa: N818  # an answer more than an error: it ends the request and nothing else
    """The request, or one row of it, is refused for this problem, and that has changed nothing."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def error(problem: Problem) -> Answer:
    """Build HubSpot's error envelope. `errors` and `context` stand there only where there are any."""
    body: dict[str, Any] = {"status": "error", "message": problem.message, "correlationId": correlation_id()}
    if problem.context:
        body["context"] = problem.context
    if problem.details:
        body["errors"] = problem.details
    body["category"] = problem.category
    return json_answer(problem.status, body)


def rate_limited(policy: str) -> Answer:
    """Refuse a request beyond a limit, "TEN_SECONDLY_ROLLING" or "DAILY"."""
    limit = "daily" if policy == "DAILY" else policy.lower()
    body = {
        "status": "error",
        "message": f"You have reached your {limit} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": correlation_id(),
        "policyName": policy,
        "requestId": correlation_id(),
    }
    return json_answer(429, body)


def missing_scopes(scopes: Sequence[str]) -> Problem:
    """Refuse what the token may not do."""
    return Problem(
        403,
        "MISSING_SCOPES",
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: "
        "https://developers.hubspot.com/scopes.",
        [
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": list(scopes)},
            }
        ],
    )


def invalid_values(found: Sequence[Mapping[str, Any]]) -> Problem:
    """Refuse property values: the message holds all of them as JSON, `errors` only the names that do not exist."""
    details = [
        {"message": each["message"], "code": each["error"], "context": {"propertyName": [each["name"]]}}
        for each in found
        if each["error"] == "PROPERTY_DOESNT_EXIST"
    ]
    listed = json.dumps(found, separators=(",", ":"), ensure_ascii=False)
    return Problem(400, "VALIDATION_ERROR", f"Property values were not valid: {listed}", details)


def invalid_value(name: str, code: str, message: str) -> dict[str, Any]:
    """Say what is wrong with one property's value."""
    return {"isValid": False, "message": message, "error": code, "name": name}


def already_exists(contact_id: str | None) -> Problem:
    """Refuse an address that another contact has; the id is missing in some recordings."""
    if contact_id is None:
        return Problem(409, "CONFLICT", "Contact already exists")
    return Problem(
        409,
        "CONFLICT",
        f"Contact already exists. Existing ID: {contact_id}",
        context={"existingId": [contact_id]},
    )


def duplicate_ids(ids: Sequence[str]) -> Problem:
    """Refuse a batch that names somebody twice."""
    message = f"Duplicate IDs found in batch input: [{', '.join(ids)}]. IDs must be unique"
    return Problem(400, "VALIDATION_ERROR", message, context={"ids": list(ids)})


def bad_json(what: str, column: int = 15) -> Problem:
    """Refuse a body that is not what it should be, in the words of the library that reads it."""
    return Problem(400, "VALIDATION_ERROR", f"Invalid input JSON on line 1, column {column}: {what}")


NO_TOKEN = Problem(
    401,
    "INVALID_AUTHENTICATION",
    "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at "
    "https://developers.hubspot.com/docs/methods/auth/oauth-overview",
)
NOT_FOUND = Problem(404, "OBJECT_NOT_FOUND", "resource not found")
# The sentence is recorded for reads; that updates say the same is unverified.
SOME_NOT_FOUND = Problem(
    404,
    "OBJECT_NOT_FOUND",
    "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.",
)
NOT_UNIQUE = Problem(400, "VALIDATION_ERROR", "Unable to perform update/upsert by non-unique 0-1 property")
TOO_MANY = Problem(400, "VALIDATION_ERROR", "Too many inputs: a batch has at most 100")  # the wording is invented
NOTHING_TO_DO = Problem(400, "VALIDATION_ERROR", "inputs must not be empty")  # invented
NO_METHOD = Problem(405, "METHOD_NOT_ALLOWED", "HTTP 405 Method Not Allowed")  # unverified
# Documented that one of the three is needed; the sentence is recorded for imports.
NO_NAME = Problem(
    400,
    "VALIDATION_ERROR",
    "Some required properties for CONTACT creates are missing: [One of [firstname, email, lastname]]",
)


def unknown_path(method: str, path: str) -> Answer:
    """Answer a path the simulator does not serve. HubSpot may well serve it, so the answer says whose gap it is."""
    return error(Problem(404, "OBJECT_NOT_FOUND", f"The simulator does not serve {method} {path}"))


FAULT_ANSWERS: Mapping[str, Answer] = {
    "status-400": error(
        invalid_values([invalid_value("email", "INVALID_EMAIL", "Email address example.lcom is invalid")])
    ),
    "status-401-key": error(NO_TOKEN),
    # HubSpot has lists of addresses for log-ins, and documents none for its API: all four are invented.
    "status-401-ip": error(Problem(401, "INVALID_AUTHENTICATION", "This IP address may not use this account's API")),
    "status-402": error(Problem(402, "PAYMENT_REQUIRED", "Payment required")),
    "status-405": error(NO_METHOD),
    "status-425": error(Problem(425, "TOO_EARLY", "Too early")),
    "status-403": error(missing_scopes(["crm.objects.contacts.write"])),
    "status-404": error(NOT_FOUND),
    "status-429": rate_limited("TEN_SECONDLY_ROLLING"),
}
