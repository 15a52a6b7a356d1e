"""Phone numbers that nobody has, and how people write them into a table.

Each form is built from a number that is known, so the right reading is known without asking the product.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import phonenumbers

REGION = "DE"
"""What BREVO_PHONE_REGION says: where the people are who filled the table in."""


@dataclass(frozen=True)
class Number:
    """A number in three parts, as its country groups it: code '49', area '30', line '23125042'."""

    code: str
    area: str
    line: str

    @property
    def sent(self) -> str:
        """The one right way to send it."""
        return f"+{self.code}{self.area}{self.line}"

    @property
    def digits(self) -> str:
        """As Brevo keeps it."""
        return self.sent[1:]

    @property
    def grouped(self) -> str:
        """'+49 30 23125042'."""
        return f"+{self.code} {self.area} {self.line}"

    @property
    def national(self) -> str:
        """'030 23125042', where the prefix is 0."""
        return f"0{self.area} {self.line}"


# Kept free for films and books by the regulators of Germany, the United Kingdom, France and North America.
_GERMAN = (("30", "23125{:03}"), ("69", "90009{:03}"), ("40", "66969{:03}"), ("89", "99998{:03}"))
_GERMAN_TWICE = (("221", "4710{:03}"), ("171", "39200{:02}"), ("176", "040690{:02}"))
_FOREIGN = (
    ("44", "20", "79460{:03}"),
    ("33", "1", "9900{:04}"),
    ("1", "212", "55501{:02}"),
    ("1", "310", "55501{:02}"),
)


def german_numbers(dice: random.Random) -> Iterator[Number]:
    """Landlines of the region, in an order of the dice; 4,000 of them."""
    return _shuffled([Number("49", area, line.format(last)) for area, line in _GERMAN for last in range(1000)], dice)


def numbers_to_mistake(dice: random.Random) -> Iterator[Number]:
    """Landlines and mobiles of the region that, with their country code and no plus, are another of its numbers."""
    found = [
        Number("49", area, line.format(last))
        for area, line in _GERMAN_TWICE
        for last in range(1000 if line.endswith("{:03}") else 100)
    ]
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(f"0{number.digits}", REGION)) for number in found)
    return _shuffled(found, dice)


def foreign_numbers(dice: random.Random) -> Iterator[Number]:
    """Numbers of other countries, in an order of the dice; 2,200 of them."""
    found = []
    for code, area, line in _FOREIGN:
        count = {"{:03}": 1000, "{:04}": 1000, "{:02}": 100}[line[-5:] if line.endswith("}") else line]
        found += [Number(code, area, line.format(last)) for last in range(count)]
    return _shuffled(found, dice)


def _shuffled(found: list[Number], dice: random.Random) -> Iterator[Number]:
    dice.shuffle(found)
    for number in found:
        assert phonenumbers.is_valid_number(phonenumbers.parse(number.sent)), number
        yield number


Write = Callable[[Number], str]


def _in_script(zero: str) -> Callable[[str], str]:
    return lambda text: "".join(chr(ord(zero) + int(each)) if each.isdecimal() else each for each in text)


_ARABIC, _PERSIAN, _DEVANAGARI, _BENGALI = map(_in_script, "\u0660\u06f0\u0966\u09e6")


def _wide(text: str) -> str:
    return "".join("\u3000" if each == " " else chr(ord(each) + 0xFEE0) for each in text)


INTERNATIONAL: Mapping[str, Write] = {
    "E.164": lambda n: n.sent,
    "grouped": lambda n: n.grouped,
    "dots": lambda n: n.grouped.replace(" ", "."),
    "dashes": lambda n: n.grouped.replace(" ", "-"),
    "slash": lambda n: f"+{n.code} {n.area}/{n.line}",
    "brackets": lambda n: f"+{n.code} ({n.area}) {n.line}",
    "code in brackets": lambda n: f"(+{n.code}) {n.area} {n.line}",
    "00": lambda n: f"00{n.digits}",
    "00 grouped": lambda n: f"00{n.grouped[1:]}",
    "00 in brackets": lambda n: f"(00{n.code}) {n.area} {n.line}",
    "tel:": lambda n: f"tel:{n.grouped.replace(' ', '-')}",
    "tel: with extension": lambda n: f"tel:{n.sent};ext=12",
    "ext.": lambda n: f"{n.grouped} ext. 12",
    "x": lambda n: f"{n.grouped} x12",
    "#": lambda n: f"{n.grouped} #7",
    "hours": lambda n: f"{n.grouped} Mo-Fr 9-17",
    "hours in brackets": lambda n: f"{n.grouped} (Mo-Fr 9:00-17:30 Uhr)",
    "hours in English": lambda n: f"{n.grouped}, Mon to Fri from 9 am to 5 pm",
    "service": lambda n: f"whatsapp:{n.sent}",
    "heavy plus": lambda n: f"\u2795{n.grouped[1:]}",
    "two pluses": lambda n: f"+{n.sent}",
    "label": lambda n: f"Phone: {n.grouped}",
    "label behind": lambda n: f"{n.grouped} (office)",
    "picture": lambda n: f"\u260e\ufe0f {n.grouped}",
    "decimal": lambda n: f"{n.sent}.0",
    "decimal comma": lambda n: f"{n.sent},00",
    "spreadsheet formula": lambda n: f'="{n.sent}"',
    "spreadsheet apostrophe": lambda n: f"'{n.sent}",
    "Arabic digits": lambda n: _ARABIC(n.grouped),
    "Persian digits": lambda n: _PERSIAN(n.sent),
    "Devanagari digits": lambda n: _DEVANAGARI(n.grouped),
    "Bengali digits": lambda n: _BENGALI(n.sent),
    "wide": lambda n: _wide(n.grouped),
    "direction marks": lambda n: f"\u202a{n.grouped}\u202c",
    "zero-width spaces": lambda n: n.grouped.replace(" ", "\u200b"),
    "byte order mark": lambda n: f"\ufeff{n.sent}",
    "word joiners": lambda n: "\u2060".join(n.sent),
    "no-break spaces": lambda n: n.grouped.replace(" ", "\u00a0"),
    "thin spaces": lambda n: n.grouped.replace(" ", "\u2009"),
    "no-break hyphens": lambda n: n.grouped.replace(" ", "\u2011"),
    "en dash": lambda n: f"+{n.code} {n.area}\u2013{n.line}",
    "tabs": lambda n: f"\t{n.grouped}\t",
    "lines": lambda n: n.grouped.replace(" ", "\n"),
    "line break at the end": lambda n: f"{n.grouped}\r\n",
}
"""Forms that name their country, which mean the same everywhere."""

NATIONAL: Mapping[str, Write] = {
    "national": lambda n: n.national,
    "national slash": lambda n: n.national.replace(" ", "/"),
    "national slash and blanks": lambda n: n.national.replace(" ", " / "),
    "national brackets": lambda n: f"(0{n.area}) {n.line}",
    "national dash": lambda n: n.national.replace(" ", "-"),
    "national digits": lambda n: n.national.replace(" ", ""),
    "national decimal": lambda n: f"{n.national.replace(' ', '')}.0",
    "national Arabic digits": lambda n: _ARABIC(n.national),
    "national hours": lambda n: f"{n.national} Mo-Fr 9-17 Uhr",
    "national from": lambda n: f"{n.national} ab 9 Uhr",
    "national label": lambda n: f"Tel.: {n.national} privat",
    "national extension": lambda n: f"{n.national} ext. 7",
    "(0)": lambda n: f"+{n.code} (0){n.area} {n.line}",
    "0 after the code": lambda n: f"+{n.code} 0{n.area} {n.line}",
    "[0]": lambda n: f"+{n.code} [0] {n.area} {n.line}",
    "(0) apart": lambda n: f"+{n.code} (0) {n.area} {n.line}",
    "code without plus": lambda n: n.digits,
    "code without plus, grouped": lambda n: n.grouped[1:],
    "code without plus, dashes": lambda n: n.grouped[1:].replace(" ", "-"),
    "code without plus, (0)": lambda n: f"{n.code} (0) {n.area} {n.line}",
    "code, 0 and area": lambda n: f"{n.code} 0{n.area} {n.line}",
    "code without plus, decimal": lambda n: f"{n.digits}.0",
    "without its 0": lambda n: f"{n.area}{n.line}",
    "without its 0, decimal": lambda n: f"{n.area}{n.line}.0",
}
"""Forms of the region's own numbers."""

NOT_VALID = "which is not valid"
TWO_READINGS = "which can be read as two different numbers"
SEVERAL = "which may be more than one number"
OTHER_TEXT = "which is mixed with other text"
ROUNDED = "which was rounded by a spreadsheet"
IN_USE = "which another contact at Brevo has"

Unreadable = Callable[[Number, Number], str]

UNREADABLE: Mapping[str, tuple[tuple[str, ...], Unreadable]] = {
    "n/a": ((NOT_VALID,), lambda *_: "n/a"),
    "words": ((NOT_VALID, OTHER_TEXT), lambda *_: "please ask reception"),
    "dash": ((NOT_VALID,), lambda *_: "-"),
    "too short": ((NOT_VALID,), lambda *_: "12"),
    "zeros": ((NOT_VALID,), lambda *_: "0000000000"),
    "too long": ((NOT_VALID,), lambda n, _: n.sent + "1234567"),
    "no such country": ((NOT_VALID,), lambda n, _: f"+999 {n.area} {n.line}"),
    "code alone": ((NOT_VALID,), lambda n, _: f"+{n.code}"),
    "cut off": ((NOT_VALID,), lambda n, _: f"+{n.code} {n.area} 1"),
    "two, slash": ((SEVERAL,), lambda n, other: f"{n.grouped} / {other.grouped}"),
    "two, comma": ((SEVERAL,), lambda n, other: f"{n.grouped}, {other.grouped}"),
    "two, semicolon": ((SEVERAL,), lambda n, other: f"{n.national}; {other.national}"),
    "two, lines": ((SEVERAL,), lambda n, other: f"{n.national}\n{other.national}"),
    "two, or": ((SEVERAL, OTHER_TEXT), lambda n, other: f"{n.national} oder {other.national}"),
    "two, last digits": ((SEVERAL,), lambda n, _: f"{n.national} / 35"),
    "two, bar": ((SEVERAL,), lambda n, other: f"{n.national}|{other.national}"),
    "two, one is for fax": ((SEVERAL,), lambda n, other: f"{n.national} / Fax {other.national}"),
    "hours without a word": ((SEVERAL,), lambda n, _: f"{n.national} 9-17"),
    "hours without a word, two digits": ((SEVERAL,), lambda n, _: f"{n.grouped} 08-17"),
    "round the clock": ((SEVERAL, OTHER_TEXT), lambda n, _: f"{n.grouped} 24/7"),
    "a place": ((OTHER_TEXT,), lambda n, _: f"Berlin {n.national}"),
    "vCard": ((OTHER_TEXT,), lambda n, _: f"TEL;TYPE=CELL:{n.sent}"),
    "fax": ((OTHER_TEXT,), lambda n, _: f"Fax {n.national}"),
    "letters": ((OTHER_TEXT,), lambda n, _: f"{n.grouped}TAXI"),
    "O for 0": ((OTHER_TEXT, NOT_VALID), lambda n, _: f"{n.grouped[:-2]}OO"),
    "l for 1": ((OTHER_TEXT, NOT_VALID), lambda n, _: f"{n.national[:-1]}l"),
    "a name": ((OTHER_TEXT,), lambda n, _: f"{n.national} Frau Ada"),
    "rounded": ((ROUNDED,), lambda n, _: f"{n.digits[0]}.{n.digits[1:4]}E+{len(n.digits) - 1}"),
    "rounded, comma": ((ROUNDED,), lambda n, _: f"{n.digits[0]},{n.digits[1:4]}E+{len(n.digits) - 1}"),
    "a story": ((OTHER_TEXT,), lambda n, _: f"the old one was {n.national} but since the move " * 3),
    "two readings": ((TWO_READINGS,), lambda *_: "33199001234"),  # 0331 99001234, or +33 1 99 00 12 34
    "foreign code without plus": ((TWO_READINGS, NOT_VALID), lambda *_: "442079460123"),
}
"""What no careful person would dial, and what may truly be said of it. Each is made of two of the region's numbers."""

NO_NUMBER: Mapping[str, str | None] = {
    "nothing, NULL": None,
    "nothing, empty": "",
    "nothing, blanks": "   ",
    "nothing, tab and CR": "\t\r\n",
    "nothing, no-break space": "\u00a0",
    "nothing, zero-width space": "\u200b",
    "nothing, byte order mark": "\ufeff",
}
"""Cells in which a person sees nothing: nothing is sent, and nothing was left out."""
