"""How Mautic reads values: addresses, texts, choices, numbers."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from crm_sync_pipeline.simulators.mautic.state import Field

# What PHP's FILTER_SANITIZE_EMAIL leaves. The lookup of duplicates sees an address without all else: "x@y.com," is
# x@y.com, and, from the code, a/b@y.com is ab@y.com.
_NOT_KEPT_IN_LOOKUPS = re.compile(r"[^A-Za-z0-9!#$%&'*+\-=?^_`{|}~@.\[\]]")
# FILTER_VALIDATE_EMAIL, less quoted parts and address literals; then Mautic's own: none of ^&*%.
_EMAIL = re.compile(
    r"(?=.{6,254}\Z)(?=[^@]{1,64}@)"
    r"[A-Za-z0-9!#$'+/=?_`{|}~-]+(?:\.[A-Za-z0-9!#$'+/=?_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)
_URL = re.compile(r"https?://[^\s/]+\S*")
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")
Reader = Callable[[Any, Field], Any]

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")

COUNTRIES = frozenset(
    {"Austria", "Belgium", "Brazil", "Canada", "Czech Republic", "France", "Germany", "India", "Italy", "Japan"}
    | {"Netherlands", "Poland", "Portugal", "Spain", "Sweden", "Switzerland", "Turkey", "United Kingdom"}
    | {"United States"}
)
"""A part of Mautic's list, by its names: "United States", never "US"."""

BAD_CHOICE = "The selected choice is invalid."  # unverified: Symfony's wording, as are the other sentences here
TOO_LONG = "This value is too long. It should have {limit} characters or less."
NOT_A_NUMBER = "Please enter a number."
NOT_A_URL = "This value is not a valid URL."


def address_in_lookups(value: object) -> str:
    """An address as the search for duplicates sees it, in the case that it has."""
    return _NOT_KEPT_IN_LOOKUPS.sub("", str(value))


def is_numeric_zero(value: object) -> bool:
    """Whether PHP finds a number that is 0 once its fraction is dropped: 0, "0", "0.5"; never a blank."""
    if isinstance(value, bool):
        return False
    return bool(_NUMBER.fullmatch(str(value))) and int(float(str(value))) == 0


def is_blank(value: object) -> bool:
    """Whether Mautic takes a value for none at all."""
    return value is None or value == ""


def read_values(sent: Mapping[str, Any], fields: Mapping[str, Field]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The values that were sent for fields, each as it is stored, and what is wrong, by alias.

    What is sent for a field that is not there, or not published, is dropped without a word.
    """
    read: dict[str, Any] = {}
    wrong: dict[str, list[str]] = {}
    for alias, value in sent.items():
        found = fields.get(alias)
        if found is None or not found.is_published:
            continue
        try:
            reader: Reader = _READERS.get(found.type, _text)
            read[alias] = None if is_blank(value) else reader(value, found)
        except ValueError as problem:
            wrong[alias] = [str(problem)]
    return read, wrong


def _email(value: Any, _: Field) -> str:
    if not isinstance(value, str) or not _EMAIL.fullmatch(value.strip(", ")):
        raise ValueError(f"{value} is invalid.")
    return value.strip(", ")


def _text(value: Any, of: Field) -> str:
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if len(text) > of.char_length_limit:
        raise ValueError(TOO_LONG.format(limit=of.char_length_limit))
    return text


def _long_text(value: Any, _: Field) -> str:
    return str(value)


def _country(value: Any, _: Field) -> str:
    if value not in COUNTRIES:
        raise ValueError(BAD_CHOICE)
    return str(value)


def _boolean(value: Any, _: Field) -> int:
    word = str(value).lower()
    if word not in (*_YES, *_NO):
        raise ValueError(BAD_CHOICE)
    return int(word in _YES)


def _number(value: Any, _: Field) -> float | int:
    if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)):
        raise ValueError(NOT_A_NUMBER)
    number = float(str(value))
    return int(number) if number.is_integer() else number


def _url(value: Any, of: Field) -> str:
    if not _URL.fullmatch(str(value)):
        raise ValueError(NOT_A_URL)
    return _text(value, of)


_READERS: Mapping[str, Reader] = {
    "email": _email,
    "country": _country,
    "boolean": _boolean,
    "number": _number,
    "url": _url,
    "textarea": _long_text,
    "html": _long_text,
}
"""How each type of field is read; all others as text."""
