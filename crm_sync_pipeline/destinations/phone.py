"""Which number a text means: one that a person would dial too, or none."""

import re
from dataclasses import replace
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

from crm_sync_pipeline.destinations.phone_text import LeftOut, Typed, typed_number
from crm_sync_pipeline.domain.characters import trimmed

_SHORT = 4
"""Digits of the shortest national numbers that there are: what has fewer lacks more than a country code."""

_LONG = 10
"""Digits of a national number that are not too many anywhere, whatever the library's example of a region has."""

_MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


def international_number(text: str | None, region: str | None) -> str | None:
    """The number as '+14155552671', or None where it can't be dialled as it stands.

    A number without a country code (neither '+' nor '00' before it) counts as one of `region` (ISO 3166, 'US'), whether
    it has the country code of that region or not; without a region it is left out. So is what can be read as two
    different numbers, because a guess would write to a stranger. Extensions are dropped: no CRM can use them.
    """
    number = _read(text, region) if text else None
    return number if isinstance(number, str) else None


def why_left_out(text: str | None, region: str | None) -> str:
    """What is wrong with the number, as it follows "its phone number, which ..."; "" where nothing is."""
    number = _read(text, region) if text else None
    return number.value.format(region=region) if isinstance(number, LeftOut) else ""


@lru_cache(maxsize=1024)  # it is asked for twice: when sending, and when saying what was left out
def _read(text: str, region: str | None) -> str | LeftOut | None:
    if not trimmed(text):
        return None
    typed = typed_number(text)
    if isinstance(typed, LeftOut):
        return typed
    if not region and not typed.is_international:
        return LeftOut.NO_COUNTRY_CODE if len(typed.digits) >= _SHORT else LeftOut.NOT_VALID
    whole = _one_number(typed, region)
    for place in range(1, len(typed.groups)):
        before, after = typed.until(place), typed.behind(place - 1)
        may_end = _may_separate(typed, place) or _may_be_hours(typed, place, whole)
        if may_end and _may_be_a_number(before, region):
            return LeftOut.SEVERAL
        if after.digits.startswith("0") and _may_be_a_number(after, _region_of(before, region)):
            return LeftOut.SEVERAL  # '0421 234 0421 235'
    return whole


def _may_be_a_number(typed: Typed, region: str | None) -> bool:
    return bool(_readings(typed, region))


def _region_of(typed: Typed, region: str | None) -> str | None:
    """Where a number is from; None where it is none, so that nothing national may follow it."""
    readings = _readings(typed, region)
    return phonenumbers.region_code_for_number(readings[0]) if readings else None


def _may_separate(typed: Typed, place: int) -> bool:
    """Whether what stands before this group may be there to separate two numbers: '1234 / 1235', '1234-1235'."""
    separator, last, this = typed.separators[place - 1], typed.groups[place - 1], typed.groups[place]
    if any(each in separator for each in "/~()[]\n") or separator.strip() == "-" != separator:
        return True
    if separator == "-":  # a range: '901820-901829'
        return len(last) == len(this) >= 4 and last[:-2] == this[:-2]
    is_decimal = place == len(typed.groups) - 1 and len(this) <= 2 and typed.separators.count(".") == 1
    return separator == "." and is_decimal


def _may_be_hours(typed: Typed, place: int, whole: str | LeftOut) -> bool:
    """Whether the hours of an office may begin with this group: '030 901820 9-17'.

    '10-22' may also be the end of a number, unless that becomes longer than numbers of its country are.
    """
    separators, hours = typed.separators[place - 1 :], typed.groups[place:]
    if len(hours) != 2 or separators[0].strip() or separators[1] != "-":
        return False
    opens, closes = hours
    if len(closes) > 2 or not int(opens) < int(closes) <= 24:
        return False
    return len(opens) == 1 or (isinstance(whole, str) and _is_long(phonenumbers.parse(whole)))


def _is_long(number: PhoneNumber) -> bool:
    region = phonenumbers.region_code_for_number(number)
    return bool(region) and len(phonenumbers.national_significant_number(number)) > longest_usual(region)


def _one_number(typed: Typed, region: str | None) -> str | LeftOut:
    readings = {phonenumbers.format_number(each, PhoneNumberFormat.E164) for each in _readings(typed, region)}
    if len(readings) == 1:
        return readings.pop()
    if readings:
        return LeftOut.TWO_READINGS
    return LeftOut.NOT_VALID if typed.is_international else LeftOut.NOT_VALID_IN_REGION


def _readings(typed: Typed, region: str | None) -> list[PhoneNumber]:
    """Every valid number that the digits may be."""
    if not typed.is_international:
        return _national_readings(typed, region) if region else []
    skipped = 0 if typed.has_plus else 2
    found = [_valid(f"+{each.digits[skipped:]}", None) for each in (typed, typed.without_bracketed_zero)]
    if not typed.has_plus and region:  # Australia dials out by '0011', and Thailand's '001 800' is its own
        found.append(_valid(typed.digits, region))
        found.append(_valid(f"+{phonenumbers.country_code_for_region(region)}{typed.digits}", None))
    return [each for each in found if each]


def _national_readings(typed: Typed, region: str) -> list[PhoneNumber]:
    """What the digits mean in `region`, and what they mean if they begin with its country code.

    A landline without the 0 that its country writes before it (spreadsheets drop it) may be a number of any country
    whose code is missing its plus. Mobiles may be, too, but people do write those without the 0.
    """
    code = str(phonenumbers.country_code_for_region(region))
    code_stands_alone = typed.groups[0] == code and len(typed.groups) > 1
    if code_stands_alone and typed.without_bracketed_zero != typed:  # '49 (0) 30 901820'
        return _readings(replace(typed, has_plus=True), None)
    national, with_code = _valid(typed.digits, region), _valid(f"+{typed.digits}", None)
    has_code = typed.digits.startswith(code)
    if not (national and with_code) or national == with_code:
        return [each for each in (national, with_code if has_code else None) if each]
    usual = _as_its_country_writes_it(national)
    is_usual = "".join(usual) == typed.digits
    if not has_code:
        is_national = is_usual or phonenumbers.number_type(national) in _MOBILE
        return [national] if is_national else [national, with_code]
    without_prefix = _last_digits(usual, len(typed.digits))
    if code_stands_alone and without_prefix[0] != code:
        return [with_code]
    if not code_stands_alone and without_prefix == typed.groups and len(typed.groups) > 1:
        return [national]
    if not is_usual and len(typed.digits) > longest_usual(region):
        return [with_code]
    return [national, with_code]


def _valid(number: str, region: str | None) -> PhoneNumber | None:
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    return parsed if phonenumbers.is_valid_number(parsed) else None


def _as_its_country_writes_it(number: PhoneNumber) -> tuple[str, ...]:
    return tuple(re.findall(r"\d+", phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)))


def _last_digits(groups: tuple[str, ...], count: int) -> tuple[str, ...]:
    """The groups, less what the first ones have too much."""
    too_many = len("".join(groups)) - count
    while too_many > 0 and len(groups[0]) <= too_many:
        too_many, groups = too_many - len(groups[0]), groups[1:]
    return (groups[0][max(too_many, 0) :], *groups[1:])


@lru_cache(maxsize=256)
def longest_usual(region: str) -> int:
    """How many digits numbers of a region have at most, without code and prefix, by the library's examples.

    Its rules allow for more, which hardly anybody has: 15 in Germany, where numbers have 11.
    """
    kinds = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
    examples = [phonenumbers.example_number_for_type(region, kind) for kind in kinds]
    return max(_LONG, *(len(phonenumbers.national_significant_number(each)) for each in examples if each))
