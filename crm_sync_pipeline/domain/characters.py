"""Characters that nobody sees: where they are left out, and how they are shown where they matter."""

import re

# Unicode's Default_Ignorable_Code_Point, such as the soft hyphen, zero-width characters, direction marks and variation
# selectors, with the marks for annotations. A list of our own: Python's tables differ from one Python to the next.
_INVISIBLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# White space of every width, and control characters.
_CONTROL = r"\x00-\x1f\x7f-\x9f"
_WIDE_BLANK = r"\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u2800\u3000"
_DIRECTION = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_HALF_A_PAIR = r"\ud800-\udfff"

INVISIBLE = re.compile(f"[{_INVISIBLE}]")
INVISIBLE_BUT_JOINERS = re.compile(rf"(?![\u200c\u200d])[{_INVISIBLE}]")
_AT_THE_START = re.compile(f"[ {_CONTROL}{_WIDE_BLANK}{_INVISIBLE}]*")
_NOT_PLAIN = re.compile(f"[{_CONTROL}{_WIDE_BLANK}{_INVISIBLE}{_HALF_A_PAIR}]")
_UNSAFE = re.compile(rf"[{_CONTROL}\u2028\u2029{_DIRECTION}{_HALF_A_PAIR}]")
_LINES = frozenset("\n\t")


def trimmed(text: str) -> str:
    """The text without blanks, control characters and invisible characters at its two ends."""
    start = _end_of_blanks(text)
    return text[start : len(text) - _end_of_blanks(text[:start:-1])]


def _end_of_blanks(text: str) -> int:
    found = _AT_THE_START.match(text)
    return found.end() if found else 0


def code_points(characters: str) -> str:
    """Each character once, by its code point: 'U+200B, U+00A0'."""
    return ", ".join(f"U+{ord(character):04X}" for character in dict.fromkeys(characters))


def visible(text: str) -> str:
    """The text with each invisible or control character, and each blank but the common one, as its code point.

    'anna<U+200B>@example.com' shows why an address that looks right is not.
    """
    return _NOT_PLAIN.sub(_shown, text)


def safe_to_print(text: str) -> str:
    """The text with what steers a terminal, or turns the order of characters, as its code point; lines stay lines."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in _LINES else _shown(found), text)


def _shown(found: re.Match[str]) -> str:
    return f"<{code_points(found[0])}>"
