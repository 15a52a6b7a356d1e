"""Why Brevo refuses a contact: by metadata first, then by a code that says it, then by one of Brevo's own sentences."""

import re
from collections.abc import Mapping
from typing import Any

# Both codes are in use for both meanings; `duplicate_parameter` became `invalid_parameter` for some in May 2026
# (github.com/pass-culture/pass-culture-main/issues/22628), so the identifiers in `metadata` decide, then the words.
_CODES_THAT_SAY_NOTHING = frozenset({"invalid_parameter", "duplicate_parameter"})
SMS_IN_USE = "sms_in_use"
EMAIL_IN_USE = "email_in_use"
_DUPLICATE_REASONS = {"sms": SMS_IN_USE, "email": EMAIL_IN_USE, "ext_id": "ext_id_in_use"}

REMEDIES: Mapping[str, str] = {
    "invalid_email": "Correct its e-mail address",
    EMAIL_IN_USE: "Find the other contact there that has its address",
    "invalid_phone": "Correct or clear its phone number",
    SMS_IN_USE: "Clear its phone number, here or in the other contact that has it, and select that one",
    "opted_out_at_old_address": "Unselect it, or follow what the message says",
}
"""What a person does about a refusal, by its reason."""

_STABLE_CODE = re.compile("[a-z][a-z0-9_]{0,63}")

_READ_AT_MOST = 500
_DATA = re.compile(r""""[^"]*"|(?<!\w)'[^']*'(?!\w)|`[^`]*`|\S*(?:@|://|www\.)\S*""")

# A prefix: older answers end in "associate", newer in "associated".
_CLASH = re.compile(r"(?:^|, )([\w ]+?) (?:(?:is|are) )?already associate", re.IGNORECASE)


def _invalid(field: str) -> re.Pattern[str]:
    """'Invalid phone number', as is recorded, and 'phone number is not valid', which is unverified."""
    wrong = "(?:invalid|incorrect|malformed|wrong)"
    return re.compile(
        rf"(?:^|[.:;,] )(?:(?:the|this|contact) )*(?:{wrong} {field}|{field} (?:is|was) (?:not (?:a )?valid|{wrong}))"
        r"(?= ?(?:$|[.:;,(\[#+\d]|format\b|provided\b|given\b))",
        re.IGNORECASE,
    )


_INVALID = {
    "invalid_phone": _invalid(r"(?:phone|sms|mobile)(?: number)?"),
    "invalid_email": _invalid(r"e-?mail(?: address| id)?"),
}

_OF_THE_CONTACT = frozenset({*_DUPLICATE_REASONS.values(), "duplicate", *_INVALID})


def is_the_contacts(reason: str) -> bool:
    """Whether a refusal for this reason is about the contact's own data, and can't be a quota or an attribute."""
    return reason in _OF_THE_CONTACT


def is_brevos(body: object) -> bool:
    """Whether an error body has the form of Brevo's own: its documents require code and message, both texts."""
    return isinstance(body, dict) and isinstance(body.get("code"), str) and isinstance(body.get("message"), str)


def own_words(message: str) -> str:
    """The beginning of a message without what may be a contact's own data: quotations, addresses, URLs."""
    return " ".join(_DATA.sub("", message[:_READ_AT_MOST]).split())


def refusal_reason(body: Mapping[str, Any], status: int) -> str:
    """A stable snake_case cause. That a sentence merely contains "email" or "phone" is none."""
    metadata, code = body.get("metadata"), body.get("code")
    clashing = metadata.get("duplicate_identifiers") if isinstance(metadata, dict) else None
    if isinstance(clashing, list) and clashing:
        return _DUPLICATE_REASONS.get(str(clashing[0]).lower(), "duplicate")
    by_code = code if isinstance(code, str) and _STABLE_CODE.fullmatch(code) else f"http_{status}"
    return _reason_in(own_words(str(body.get("message")))) or by_code if code in _CODES_THAT_SAY_NOTHING else by_code


def _reason_in(words: str) -> str | None:
    if clash := _CLASH.search(words):
        names = clash[1].lower().split()
        return next((reason for name, reason in _DUPLICATE_REASONS.items() if name in names), "duplicate")
    return next((reason for reason, pattern in _INVALID.items() if pattern.search(words)), None)
