"""How Brevo reads values: addresses, numbers, attributes."""

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import phonenumbers

from crm_sync_pipeline.simulators.brevo.answers import Refused, error, invalid
from crm_sync_pipeline.simulators.brevo.state import Attribute

PHONES = frozenset({"SMS", "WHATSAPP", "LANDLINE_NUMBER"})

# Unverified in its corners: Brevo publishes no grammar. This is RFC 5321's, less quoted parts and address literals.
# Users saw an international domain refused as it is written (info@müller.de), and taken as the DNS has it (xn--...).
# That a local part beyond ASCII is refused too, and invisible characters are not overlooked, is unverified.
_EMAIL = re.compile(
    r"(?=.{6,254}\Z)(?=[^@]{1,64}@)"
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
)
_PHONE = re.compile(r"(?:\+|00)?([0-9]{6,})")
_PHONE_PUNCTUATION = str.maketrans("", "", " .-()/")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# As a file of an import writes them. Brevo says that it ignores values of the wrong type; that it takes no text for a
# boolean or a number in JSON is unverified, but a client that sends real ones is right either way.
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_email(value: object) -> str:
    """Trim and lower-case an address. `Refused` when it is none."""
    if isinstance(value, str):
        email = _ascii_lowered(value.strip(" \t\r\n"))  # unverified: that blanks are overlooked
        if _EMAIL.fullmatch(email):
            return email
    raise invalid("Invalid email address")


def _ascii_lowered(text: str) -> str:
    """No other letter: some become ASCII letters, such as the sign for kelvin."""
    return text.lower() if text.isascii() else text


def read_phone(value: object) -> str:
    """Read 91..., +91... or 0091... into digits with their country code. `Refused` when it is not a number.

    The country code is mandatory, and under 6 digits fails. That the rest is judged by the number's length
    (libphonenumber) is unverified, as is that blanks and brackets are overlooked.
    Source: reference/create-contact.
    """
    matched = _PHONE.fullmatch(str(value).translate(_PHONE_PUNCTUATION)) if isinstance(value, str | int) else None
    if matched is not None:
        digits = matched[1]
        try:
            if phonenumbers.is_possible_number(phonenumbers.parse(f"+{digits}")):
                return digits
        except phonenumbers.NumberParseException:
            pass
    raise invalid("Invalid phone number")


def read_attributes(
    sent: object, known: Mapping[str, Attribute], *, refuse_unknown: bool = False, from_file: bool = False
) -> dict[str, Any]:
    """Read attributes into those that will be stored, upper case. An empty phone number is kept: it erases.

    Brevo ignores a value of the wrong type, and an attribute the account does not have (some say it refuses
    those: `refuse_unknown`). In a CSV file every value is text (`from_file`). `Refused` for a bad phone number, and
    when `sent` is not an object.
    """
    if not isinstance(sent, dict):
        raise invalid("attributes should be an object")  # invented
    read: dict[str, Any] = {}
    for sent_name, value in sent.items():
        name = sent_name.upper()
        attribute = known.get(name)
        if name == "EMAIL":
            continue  # no attribute, although an update may name it among them; see contacts.update
        if attribute is None:
            if refuse_unknown:
                raise Refused(error(400, "invalid_parameter", f"Attribute {name} does not exist"))  # invented
        elif name in PHONES:
            read[name] = "" if value == "" else read_phone(value)
        elif (fitting := _fitting(value, attribute, from_file)) is not None:
            read[name] = fitting
    return read


def _fitting(value: Any, attribute: Attribute, from_file: bool) -> Any:
    """Give the value as it is stored, or None for a value of the wrong type."""
    kind = attribute.type
    if kind in ("text", "id", "user"):
        if isinstance(value, str):
            return value
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None  # unverified
    if kind == "boolean":
        return _BOOLEANS.get(str(value).lower()) if from_file or isinstance(value, bool) else None
    if kind == "float":
        return _float(value) if from_file or not isinstance(value, str) else None
    if kind == "date":
        return _date(value)
    if kind == "multiple-choice":
        labels = {label for _, label in attribute.options}
        return [label for label in value if label in labels] if isinstance(value, list) else None
    if attribute.category == "category":
        chosen = str(value).lower()
        return next((number for number, label in attribute.options if chosen in (str(number), label.lower())), None)
    return None


def _float(value: Any) -> float | int | None:
    if isinstance(value, int | float):
        return None if isinstance(value, bool) else value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _date(value: Any) -> str | None:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        return None


def natural_number(text: str) -> int | None:
    """Read 0, 1, 2 ... as they stand in a path or query; None for anything else, and beyond 18 digits."""
    return int(text) if len(text) <= 18 and text.isascii() and text.isdecimal() else None


def read_flag(body: Mapping[str, Any], name: str, default: bool | None = None) -> bool | None:
    """Read a boolean, or the default where it was not sent. `Refused` for anything else (invented)."""
    value = body.get(name, default)
    if value is None or isinstance(value, bool):
        return value
    raise invalid(f"{name} should be a boolean")


def read_ids(body: Mapping[str, Any], name: str) -> tuple[int, ...]:
    """Read a list of integers, without repetitions. `Refused` for anything else (the sentence is invented)."""
    value = body.get(name, ())
    if isinstance(value, list | tuple) and all(isinstance(item, int) and not isinstance(item, bool) for item in value):
        return tuple(dict.fromkeys(value))
    raise invalid(f"{name} should be an array of integers")
