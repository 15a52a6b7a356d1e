"""Valid numbers of every region of the phonenumbers library, and the ways in which people write them.

    python -m crm_sync_pipeline_tests.destinations.phone_forms --each 3000

writes down for every form how many came out right, were left out, or became another number, now and by the rule that
was there before (commit 16fee5b).
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import click
import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat

from crm_sync_pipeline.destinations.phone import international_number, longest_usual

if sys.version_info >= (3, 11):
    from re import _parser as patterns  # type: ignore[attr-defined] # private, and the only parser there is
else:
    import sre_parse as patterns

REGIONS = tuple(sorted(phonenumbers.SUPPORTED_REGIONS))
KINDS = ("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager", "uan")

WAYS = ("right", "none", "wrong")

Form = tuple[str, str, set[str]]
"""Its name, the text, and what may come of it beside nothing."""


def matching(pattern: Sequence[Any], dice: random.Random) -> str:
    """A text that the pattern fits, but for what it looks ahead to."""
    written = []
    for name, value in pattern:
        kind = str(name)
        if kind == "LITERAL":
            written.append(chr(value))
        elif kind == "IN":
            written.append(dice.choice([each for part in value for each in _characters(*part)]))
        elif kind == "MAX_REPEAT":
            least, most, what = value
            written += [matching(what, dice) for _ in range(dice.randint(least, most))]
        elif kind == "SUBPATTERN":
            written.append(matching(value[-1], dice))
        elif kind == "BRANCH":
            written.append(matching(dice.choice(value[1]), dice))
        elif kind not in ("ASSERT", "ASSERT_NOT", "AT"):
            raise ValueError(kind)
    return "".join(written)


def _characters(name: object, value: Any) -> str:
    if str(name) == "RANGE":
        return "".join(map(chr, range(value[0], value[1] + 1)))
    return chr(value) if str(name) == "LITERAL" else "0123456789"


def numbers_of(region: str, count: int, dice: random.Random) -> Iterator[phonenumbers.PhoneNumber]:
    """Some `count` valid numbers, of each kind that the region has; most of them landlines and mobiles."""
    metadata: Any = PhoneMetadata.metadata_for_region(region)
    for kind in KINDS:
        described = getattr(metadata, kind)
        if described is None or not described.national_number_pattern:
            continue
        pattern: Any = patterns.parse(described.national_number_pattern)
        for _ in range(2 * count // 5 if kind in KINDS[:2] else count // 20):
            digits = matching(pattern, dice)
            try:
                number = phonenumbers.parse(f"+{metadata.country_code}{digits}")
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(number) and phonenumbers.national_significant_number(number) == digits:
                yield number


def forms_of(number: phonenumbers.PhoneNumber, other: phonenumbers.PhoneNumber, region: str) -> Iterator[Form]:
    """How people write a number that they mean, and what only looks like one."""
    code, digits = str(number.country_code), phonenumbers.national_significant_number(number)
    e164, another = (phonenumbers.format_number(each, PhoneNumberFormat.E164) for each in (number, other))
    grouped = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    metadata: Any = PhoneMetadata.metadata_for_region(region)
    prefix = metadata.national_prefix or ""
    right = {e164}
    if region == "GA":  # the library writes a number of before 2019 with the 0 that has been part of it since
        right = right | {f"+{code}0{digits}"}
    yield "+", e164, right
    yield "+ grouped", grouped, right
    yield "+ dotted", grouped.replace(" ", ".").replace("-", "."), right
    yield "+ slash", grouped.replace(" ", "/", 2).replace("/", " ", 1), right
    yield "tel:", phonenumbers.format_number(number, PhoneNumberFormat.RFC3966), right
    yield "tel: phone-context", f"tel:{digits};phone-context=+{code}", right
    yield "00", f"00{e164[1:]}", right
    yield "(00code)", f"(00{code}) {digits}", right
    yield (
        "+code (0)",
        f"+{code} (0) {grouped[len(code) + 2 :]}",
        right if prefix == "0" else right | {f"+{code}0{digits}"},
    )
    yield "+ wide", "".join(chr(ord(each) + 0xFEE0) for each in e164), right
    yield "+ Arabic digits", "+" + "".join(chr(ord(each) + 0x630) for each in e164[1:]), right
    yield "+ extension", f"{grouped} ext. 12", right
    yield "+ float", f"{e164}.0", right
    yield "+ hours", f"{grouped} Mo-Fr 9-17", right
    yield "+ unknown word", f"{grouped} Frau Ada", right
    yield "+ letters", f"{e164}TAXI", set()
    yield "+ exponent", f"{e164[1]}.{e164[2:6]}E+{len(e164) - 2}", set()
    yield "national", national, right
    yield "national digits", _digits_in(national), right
    yield "national dashes", "-".join(_groups_in(national)), right
    yield "national dots", ".".join(_groups_in(national)), right
    yield "national hours", f"{national} Mo-Fr 9-17 Uhr", right
    yield "code without +", code + digits, right
    yield "code without +, grouped", grouped[1:], right
    yield "code without +, dashes", "-".join(_groups_in(grouped)), right
    yield "code without +, (0)", f"{code} (0) {digits}", right if prefix == "0" else right | {f"+{code}0{digits}"}
    yield "code without +, float", f"{code}{digits}.0", right
    if len(digits) <= longest_usual(region):  # a longer one with the country code before it is likelier
        yield "bare", digits, right
        yield "bare, float", f"{digits}.0", right
    for between in (" / ", ", ", "; ", " - ", "\n", " oder ", " "):
        yield (
            f"two, {between!r}",
            f"{grouped}{between}{phonenumbers.format_number(other, PhoneNumberFormat.INTERNATIONAL)}",
            {e164},
        )
        second = phonenumbers.format_number(other, PhoneNumberFormat.NATIONAL)
        if between.strip() or second.startswith("0"):  # else they are one number for a person, too
            yield f"two national, {between!r}", f"{national}{between}{second}", {e164}
    yield "two, last digits", f"{grouped} / {another[-4:]}", {e164}
    yield "two national, last digits", f"{national} / {another[-4:]}", {e164}


def _digits_in(text: str) -> str:
    return "".join(_groups_in(text))


def _groups_in(text: str) -> list[str]:
    return "".join(each if each.isdecimal() else " " for each in text).split()


def at_16fee5b(text: str, region: str | None) -> str | None:
    """The rule that was there before."""
    number = text.strip()
    number = f"+{number[2:]}" if number.startswith("00") else number
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    valid = phonenumbers.is_valid_number(parsed)
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164) if valid else None


def counted(region: str, count: int, seed: int = 0) -> tuple[Counter[tuple[str, str, str]], list[tuple[str, ...]], int]:
    """By form, what came of it before and now; the texts that became another number; how many numbers there were."""
    numbers = list(numbers_of(region, count, random.Random(f"{seed} {region}")))  # noqa: S311  # repeatable on purpose
    found: Counter[tuple[str, str, str]] = Counter()
    wrong: list[tuple[str, ...]] = []
    for number, other in zip(numbers, [*numbers[1:], *numbers[:1]], strict=True):
        for form, text, right in forms_of(number, other, region):
            before, now = at_16fee5b(text, region), international_number(text, region)
            words = ["none" if each is None else "right" if each in right else "wrong" for each in (before, now)]
            found[form, words[0], words[1]] += 1
            if words[1] == "wrong":
                wrong.append((region, form, words[0], text, str(before), str(now)))
    return found, wrong, len(numbers)


def main() -> None:
    """Every region, all forms."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--each", type=int, default=3000, help="numbers for each region")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--regions", nargs="*", default=REGIONS)
    chosen = options.parse_args()
    total: Counter[tuple[str, str, str]] = Counter()
    wrong: list[tuple[str, ...]] = []
    numbers = 0
    with ProcessPoolExecutor() as pool:
        work = [pool.submit(counted, region, chosen.each, chosen.seed) for region in chosen.regions]
        for done in work:
            found, of_region, many = done.result()
            total += found
            wrong += of_region
            numbers += many
    click.echo(f"{numbers:,} numbers of {len(chosen.regions)} regions; before right/none/wrong, now right/none/wrong")
    for form in dict.fromkeys(form for form, _, _ in total):
        before = [sum(total[form, way, now] for now in WAYS) for way in WAYS]
        now = [sum(total[form, was, way] for was in WAYS) for way in WAYS]
        worse = total[form, "right", "none"]
        click.echo(
            f"{form:35} {before[0]:9,} {before[1]:9,} {before[2]:9,}   {now[0]:9,} {now[1]:9,} {now[2]:9,}  {worse:9,}"
        )
    for each_wrong in wrong:
        click.echo("  ".join(map(repr, each_wrong)))


if __name__ == "__main__":
    main()
