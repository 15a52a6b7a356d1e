"""What a person typed where a phone number belongs: the digits of one number, or why no number can be read."""

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum

LONGEST_TEXT = 100
"""Characters: a longer text is a story, and takes its time to read."""


class LeftOut(Enum):
    """Why a number is left out, as it follows "its phone number, which ..."."""

    NOT_VALID = "is not valid"
    NOT_VALID_IN_REGION = "is not valid in {region}"
    NO_COUNTRY_CODE = "lacks a country code"
    TWO_READINGS = "can be read as two different numbers (write it in full: +, country code, number)"
    SEVERAL = "may be more than one number"
    OTHER_TEXT = "is mixed with other text"
    ROUNDED = "was rounded by a spreadsheet (such as 4.9E+12)"


@dataclass(frozen=True, slots=True)
class Typed:
    """One number as it was typed: its groups of digits, and what stands between them."""

    has_plus: bool
    groups: tuple[str, ...]
    separators: tuple[str, ...]

    @property
    def digits(self) -> str:
        """All of them."""
        return "".join(self.groups)

    @property
    def is_international(self) -> bool:
        """Whether it says itself that its country code comes first."""
        return self.has_plus or self.digits.startswith("00")

    @property
    def without_bracketed_zero(self) -> "Typed":
        """'+49 (0) 30' without the '(0)', which is dialled only within the country."""
        for place in range(1, len(self.groups) - 1):
            if self.groups[place] == "0" and "(" in self.separators[place - 1] and ")" in self.separators[place]:
                before, after = self.until(place), self.behind(place)
                return Typed(self.has_plus, before.groups + after.groups, (*before.separators, " ", *after.separators))
        return self

    def until(self, place: int) -> "Typed":
        """The groups before this place."""
        return Typed(self.has_plus, self.groups[:place], self.separators[: place - 1])

    def behind(self, place: int) -> "Typed":
        """The groups behind this place."""
        return Typed(False, self.groups[place + 1 :], self.separators[place + 1 :])


_LABEL = re.compile(
    "tel|telefon|telefono|teléfono|telefoon|telephone|tél|téléphone|fon|phone|ph|mob|mobil|mobile|mobiltelefon|móvil|"
    "handy|cell|cellphone|cellular|cellulare|cel|celular|gsm|portable|whatsapp|call|contact|number|num|nr|office|büro|"
    "work|home|private|privat|zentrale|[tmpcdw]"
)
"""Words that may stand before a number, or behind it. No 'fax': nobody wants a message there."""

_TIME = re.compile(
    "mo|di|mi|do|fr|sa|so|mon|tues?|wed|thu|thurs?|fri|sat|sun|(mon|tues|wednes|thurs|fri|satur|sun)day|"
    "(mon|diens|donners|frei|sams|sonn)tag|mittwoch|lun|mar|mer|mie|jeu|jue|ven|vie|sam|sab|dim|dom|"
    "daily|weekdays|täglich|werktags|from|von|ab|after|nach|before|vor|between|zwischen"
)
"""Words behind a number after which hours may follow."""

_HOUR = re.compile("uhr|h|am|pm|to|bis|and|und|only|nur")
_EXTENSION = re.compile(
    r"([\s,;./(\[]*(,,|#|(extension|extensión|extn?|xtn?|x|int|interno|anexo|ramal|poste|доб))[\s.:=#]*\d{1,7}#?[)\]]*){1,3}",
    re.IGNORECASE,
)
_CONTEXT = re.compile(r"(.*);phone-context=(\+[\d.()-]+)(.*)", re.IGNORECASE)
_WORD_BEFORE = re.compile(r"[\s.,:;=\"'(\[-]*([^\W\d_]+)[\s.:=)\]-]*")
_BEFORE = " .,:;=\"'`-"
_NUMBER = re.compile(r"[\d\s().\[\]/~+-]*")
_PLUSES = "\u207a\u2795\ufb29\ufe62"  # the wide one aside: superscript, heavy, Hebrew, small
_BETWEEN = re.compile(r"[\s.(\[/~-]*$")
_PLUS = re.compile(r"[\s(\[]*(?:00[\s)]*)?\++")
_SPREADSHEETS_FLOAT = re.compile(r"(\+?\d{6,})[.,]0{1,2}")
_ROUNDED = re.compile(r"\d([.,]\d+)?E\+?\d{1,2}", re.IGNORECASE)
_ANOTHER_NUMBER = re.compile(r"[,;|&\n]\s*[+(]?\d|\d{3}")
_PARTS = re.compile(r"[^\W\d_]+|\d+|\S")


def typed_number(text: str) -> Typed | LeftOut:
    """The one number in a text. An extension is dropped, and so are a label and the hours of an office.

    Whatever else stands beside it might belong to it, or change what it means, so the number is left out.
    """
    if len(text.strip()) > LONGEST_TEXT:
        return LeftOut.OTHER_TEXT
    plain = _plain(text)
    if context := _CONTEXT.fullmatch(plain):  # RFC 3966: 'tel:030901820;phone-context=+49'
        plain = f"{context[2]} {_without_labels(context[1])}{context[3]}"
    plain = _without_labels(plain)
    if not any(each.isdecimal() for each in plain):
        return LeftOut.NOT_VALID
    if _ROUNDED.fullmatch(plain):
        return LeftOut.ROUNDED
    if found := _SPREADSHEETS_FLOAT.fullmatch(plain):
        plain = found[1]
    whole = _NUMBER.match(plain)
    number = whole[0] if whole else ""
    between = _BETWEEN.search(number)
    rest = (between[0] if between else "") + plain[len(number) :]
    if rest.strip(" .-/~([)]\"'`:;,") and not _EXTENSION.fullmatch(rest) and not _is_note(rest):
        return LeftOut.SEVERAL if number and _ANOTHER_NUMBER.search(rest) else LeftOut.OTHER_TEXT
    plus = _PLUS.match(number)
    number = number[plus.end() :] if plus else number
    if "+" in number:
        return LeftOut.SEVERAL
    groups = tuple(re.findall(r"\d+", number))
    return Typed(plus is not None, groups, tuple(re.split(r"\d+", number)[1:-1])) if groups else LeftOut.OTHER_TEXT


def _plain(text: str) -> str:
    """Digits of every script as 0 to 9, pluses as '+', dashes as '-', blanks and pictures as ' '; nothing invisible."""
    return "".join(map(_plain_character, text)).strip()


def _plain_character(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    if "\uff01" <= character <= "\uff5e":  # wide forms of ASCII, as East Asian keyboards type them
        character = chr(ord(character) - 0xFEE0)
    if character in _PLUSES:
        return "+"
    category = unicodedata.category(character)
    if character in "\r\n\v\f\x85\u2028\u2029":
        return "\n"
    if character == "\t" or category in ("Zs", "So"):
        return " "
    if category == "Cf" or character == "\ufe0f":  # what a phone adds to a copied number, or to a picture
        return ""
    return "-" if category == "Pd" or character == "\u2212" else character


def _without_labels(text: str) -> str:
    while (found := _WORD_BEFORE.match(text)) and _LABEL.fullmatch(found[1].lower()):
        text = text[found.end() :]
    return text.lstrip(_BEFORE)


def _is_note(rest: str) -> bool:
    """Whether it is a label or the hours of an office. Digits count as hours where a word for a time goes before."""
    names_a_time = has_words = False
    for part in _PARTS.findall(rest.lower()):
        if part.isdecimal():
            if not names_a_time or len(part) > 2:
                return False
        elif part.isalpha():
            names_a_time = names_a_time or bool(_TIME.fullmatch(part))
            if not (_TIME.fullmatch(part) or _LABEL.fullmatch(part) or (names_a_time and _HOUR.fullmatch(part))):
                return False
            has_words = True
        elif part not in ".,:;-/()[]":
            return False
    return has_words
