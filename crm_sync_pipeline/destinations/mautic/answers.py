"""What Mautic's answers hold: results by the index of a row, contacts, errors. Nothing here decides what follows.

Arrays of PHP come as lists where their keys run from 0 without a gap, and as objects otherwise; both are read alike.
"""

import re
from collections.abc import Mapping
from typing import Any

INVALID_VALUE = "invalid_value"

REMEDIES: Mapping[str, str] = {
    "invalid_email": "Correct its e-mail address",
    "ambiguous_address": "Correct its e-mail address, or unselect it: Mautic would update another contact in its place",
    INVALID_VALUE: "Correct the value that the message names, or the field in Mautic",
}
"""What a person does about a refusal, by its reason."""

API_OFF, BASIC_OFF = "api_disabled", "basic_auth_disabled"

_OF_THE_CONTACT = frozenset({"email", "firstname", "lastname", "phone"})
"""Fields whose form Mautic itself prescribes: what is wrong with them is the contact's own."""

_BATCH_LIMIT = re.compile(r"\bmax of (\d{1,6}) entities\b", re.IGNORECASE)


def by_index(value: object) -> dict[int, Any] | None:
    """An array of PHP by its keys; None for anything else."""
    if isinstance(value, list):
        return dict(enumerate(value))
    if isinstance(value, dict):
        return {int(key): each for key, each in value.items() if key.isascii() and key.isdecimal() and len(key) < 10}
    return None


def contact_id_of(contact: object) -> int | None:
    """The id of a contact in an answer; None where there is none."""
    found = contact.get("id") if isinstance(contact, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def address_of(contact: object) -> str:
    """The address of a contact in an answer, in lower case; "" where there is none."""
    fields = _inside(contact, "fields")
    found = _inside(_inside(fields, "all"), "email") or _inside(_inside(_inside(fields, "core"), "email"), "value")
    return found.strip().lower() if isinstance(found, str) else ""


def contacts_in(data: object) -> list[Any] | None:
    """The contacts of a list, which has them by their ids; None where the answer is not one."""
    found = data.get("contacts") if isinstance(data, dict) else None
    if isinstance(found, dict):
        return list(found.values())
    return found if isinstance(found, list) else None


def first_error(data: object) -> Mapping[str, Any]:
    """The first error of an answer, in its new form or the old one; an empty one where there is none."""
    errors = by_index(_inside(data, "errors")) or {}
    found = next(iter(errors.values()), None) or _inside(data, "error")
    return found if isinstance(found, dict) else {}


def is_mautics(data: object) -> bool:
    """Whether an error body has the form of Mautic's own, with a message and a code."""
    error = first_error(data)
    return isinstance(error.get("message"), str) and isinstance(error.get("code"), int)


def kind_of(data: object, *, uses_basic: bool) -> str:
    """API_OFF, BASIC_OFF, or "" for any other error."""
    kind = first_error(data).get("type")
    if kind == API_OFF:
        return API_OFF
    return BASIC_OFF if kind == "access_denied" and uses_basic else ""


def batch_limit_in(message: str) -> int | None:
    """How many rows Mautic takes, where it says that there were too many: with HTTP 500 (5.x, 6.x), or with 400."""
    found = _BATCH_LIMIT.search(message)
    return int(found[1]) if found else None


def refusal_of(error: object) -> tuple[str, str, bool]:
    """Why a row was refused: a stable reason, Mautic's words, and whether our set-up may be the cause."""
    details = _inside(error, "details")
    if isinstance(details, dict) and details:
        said = "; ".join(f"{name}: {_sentence(each)}" for name, each in details.items())
        if "email" in details:
            return "invalid_email", said, False
        return INVALID_VALUE, said, not details.keys() <= _OF_THE_CONTACT
    code, message = _inside(error, "code"), _inside(error, "message")
    return f"http_{code if isinstance(code, int) else 400}", message if isinstance(message, str) else "", True


def without_values(text: str, row: Mapping[str, Any]) -> str:
    """The text without the values that were sent, which Mautic quotes: they are personal data."""
    values = sorted({value for value in row.values() if isinstance(value, str) and len(value) > 1}, key=len)
    for value in reversed(values):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", text, flags=re.IGNORECASE)
    return text


def _sentence(each: object) -> str:
    parts = each if isinstance(each, list) else [each]
    return " ".join(str(part) for part in parts)


def _inside(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
