"""What HubSpot's answers say: why a contact is refused, and which result of a batch is whose.

https://developers.hubspot.com/docs/api-reference/error-handling: every part of an error may be missing.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_sync_pipeline.domain.contact import Contact

EMAIL_IN_USE = "email_in_use"
INVALID_EMAIL = "invalid_email"
OPTED_OUT = "opted_out_at_old_address"
UNKNOWN_PROPERTY = "unknown_property"
READ_ONLY_PROPERTY = "read_only_property"
MISSING_SCOPES = "missing_scopes"

REMEDIES: Mapping[str, str] = {
    INVALID_EMAIL: "Correct its e-mail address",
    EMAIL_IN_USE: "Find the other contact there that has its address, also as a secondary one",
    OPTED_OUT: "Unselect it, or follow what the message says",
    UNKNOWN_PROPERTY: "Run `crm-sync check --crm hubspot --create-fields`",
    READ_ONLY_PROPERTY: "Name another property in the setting, or change it in HubSpot",
    **dict.fromkeys(
        ("invalid_option", "invalid_integer", "invalid_date", "validation_error"),
        "Correct the value that the message names, or its property in HubSpot",
    ),
}
"""What a person does about a refusal, by its reason."""

_STATUSES: Mapping[str, int] = {
    "VALIDATION_ERROR": 400,
    "INVALID_AUTHENTICATION": 401,
    "EXPIRED_AUTHENTICATION": 401,
    "MISSING_SCOPES": 403,
    "OBJECT_NOT_FOUND": 404,
    "CONFLICT": 409,
    "RATE_LIMITS": 429,
}
"""By an error's category; 500 for any other."""

_INVALID_VALUES = "Property values were not valid: "
_STABLE_CODE = re.compile("[A-Z][A-Z0-9_]{0,63}")
_EXISTING = re.compile(r"Existing ID: (\d+)")


@dataclass(frozen=True, slots=True)
class Result:
    """A row of a batch that was carried out."""

    id: str
    properties: Mapping[str, Any] = field(repr=False)
    is_new: bool
    trace_id: str | None

    @property
    def address(self) -> str:
        """Its primary e-mail address, in lower case; "" where it has none."""
        return str(self.properties.get("email") or "").lower()


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What a batch says: those that were carried out, in any order, and errors, each of one row or of several."""

    results: Sequence[Result]
    errors: Sequence[Mapping[str, Any]]


def batch_in(data: object) -> BatchAnswer | None:
    """The batch in an answer; None where it does not have the form of one, or is not complete."""
    if not isinstance(data, dict) or not isinstance(data.get("results"), list) or data.get("status") != "COMPLETE":
        return None
    errors = data.get("errors")
    listed = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    return BatchAnswer(list(filter(None, map(result_in, data["results"]))), listed)


def result_in(row: object) -> Result | None:
    """One contact in an answer; None where it is none, or has no id."""
    if not isinstance(row, dict) or not re.fullmatch(r"\d+", str(row.get("id"))):
        return None
    properties, trace_id = row.get("properties"), row.get("objectWriteTraceId")
    shown = properties if isinstance(properties, dict) else {}
    return Result(str(row["id"]), shown, row.get("new") is True, str(trace_id) if trace_id else None)


def status_of(error: Mapping[str, Any]) -> int:
    """The status that an error of a batch would have had as an answer of its own."""
    return _STATUSES.get(str(error.get("category")), 500)


def named_in(error: Mapping[str, Any], *keys: str) -> list[str]:
    """What an error's context lists under these names: trace ids, ids, the id of a contact that exists already."""
    context = error.get("context")
    found = [context.get(key) for key in keys] if isinstance(context, dict) else []
    return [str(each) for value in found if value for each in (value if isinstance(value, list) else [value])]


def is_hubspots(body: object) -> bool:
    """Whether an error body has the form of HubSpot's own: a message, and a category or the word "error"."""
    if not isinstance(body, dict) or not isinstance(body.get("message"), str):
        return False
    return isinstance(body.get("category"), str) or body.get("status") == "error"


def existing_id(error: Mapping[str, Any]) -> str:
    """The id of the contact that has the address already; "" where HubSpot does not tell it."""
    named = named_in(error, "existingId")
    if named:
        return named[0]
    found = _EXISTING.search(str(error.get("message")))
    return found[1] if found else ""


def scopes_in(body: Mapping[str, Any]) -> Iterator[str]:
    """The scopes that an error names, of which one is needed."""
    errors = body.get("errors")
    for each in errors if isinstance(errors, list) else ():
        context = each.get("context") if isinstance(each, dict) else None
        named = context.get("requiredGranularScopes") if isinstance(context, dict) else None
        yield from (str(scope) for scope in named if scope) if isinstance(named, list) else ()


def words_of(body: Mapping[str, Any]) -> str:
    """The error's own words: the sentences in the JSON that its message holds, else the message as it is."""
    said = [str(each.get("message")) for each in _listed(str(body.get("message"))) if each.get("message")]
    return "; ".join(dict.fromkeys(said)) or str(body.get("message") or "")


def without_data(text: str, contact: Contact) -> str:
    """The text without what stands in the contact's row: HubSpot quotes the value that it refuses, whatever it is."""
    values = [contact.email.strip(), contact.address, contact.name, contact.phone_number]
    own = sorted({re.escape(each.strip()) for each in values if each and each.strip()}, key=len, reverse=True)
    return re.sub(rf"(?<!\w)(?:{'|'.join(own)})(?!\w)", "…", text, flags=re.IGNORECASE) if own else text


def codes_of(body: Mapping[str, Any]) -> list[str]:
    """Why values were refused: codes from the message, and from `errors`, which may list fewer of them."""
    return list(dict.fromkeys([*_codes_in(_listed(str(body.get("message"))), "error"), *_codes_in_errors(body)]))


def reason_of(codes: Sequence[str], category: object) -> str:
    """A stable snake_case cause, from the first code that is one, else from the category."""
    return next((each.lower() for each in [*codes, str(category)] if _STABLE_CODE.fullmatch(each)), "refused")


def set_up_reason(codes: Sequence[str]) -> str | None:
    """The reason of a refusal that is about the account's properties, and about no contact; None for any other."""
    if "PROPERTY_DOESNT_EXIST" in codes:
        return UNKNOWN_PROPERTY
    return READ_ONLY_PROPERTY if any("READ_ONLY" in each for each in codes) else None


def _codes_in_errors(body: Mapping[str, Any]) -> Iterator[str]:
    errors = body.get("errors")
    return _codes_in(errors if isinstance(errors, list) else [], "code")


def _codes_in(problems: Sequence[object], key: str) -> Iterator[str]:
    return (str(each[key]) for each in problems if isinstance(each, dict) and each.get(key))


def _listed(message: str) -> list[dict[str, Any]]:
    if not message.startswith(_INVALID_VALUES):
        return []
    try:
        found = json.loads(message.removeprefix(_INVALID_VALUES))
    except (ValueError, RecursionError):
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
