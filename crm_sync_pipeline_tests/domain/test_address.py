"""The normal form of an address: what is sent, compared and looked up; and what people see."""

import hashlib
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.address import address_note, address_problem, normal_form, shown_address
from crm_sync_pipeline.domain.bulk import address_hash

INVISIBLE = (
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u180e", "\u200b", "\u200c", "\u200d", "\u200e", "\u202a", "\u202e"),
    *("\u2060", "\u2066", "\u2069", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\U000e0020", "\U000e0100"),
)
BLANKS = (" ", "\t", "\n", "\r", "\x0b", "\x0c", "\x1f", "\x7f", "\x85", "\xa0", "\u2003", "\u2028", "\u202f", "\u3000")

texts = st.text(st.characters(exclude_characters="\x00")) | st.text(
    st.sampled_from(
        ["a", "B", "@", ".", "ü", "Ü", "ß", "ς", "İ", "\u212a", "。", "\uff0e", "-", "x", "n", *INVISIBLE, *BLANKS]
    )
)


@pytest.mark.parametrize("around", [*INVISIBLE, *BLANKS, "\ufeff \t", "\u200b\xa0\r\n"])
def test_what_nobody_sees_around_an_address_is_no_part_of_it(around: str) -> None:
    assert normal_form(f"{around}Anna@Example.com{around}{around}") == "anna@example.com"
    assert normal_form(around) == normal_form(around * 3) == ""
    assert address_note(f"{around}anna@example.com{around}") == ""


@pytest.mark.parametrize("inside", INVISIBLE)
@pytest.mark.parametrize(
    "text", ["an{}na@example.com", "anna{}@example.com", "anna@{}example.com", "anna@example{}.com"]
)
def test_what_is_invisible_inside_is_left_out_and_named(text: str, inside: str) -> None:
    address = text.format(inside)
    assert normal_form(address) == "anna@example.com"
    point = f"U+{ord(inside):04X}"
    assert address_note(address) == f"Sent without what is invisible in its e-mail address ({point})"
    assert shown_address(address) == f"{text.format(f'<{point}>')} (sent as anna@example.com)"


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("info@müller.de", "info@xn--mller-kva.de"),
        ("INFO@MÜLLER.DE", "info@xn--mller-kva.de"),
        ("info@mu\u0308ller.de", "info@xn--mller-kva.de"),
        ("info@m\u00ad\u202aü\u200dller.de", "info@xn--mller-kva.de"),
        ("info@xn--mller-kva.de", "info@xn--mller-kva.de"),
        ("info@XN--MLLER-KVA.de", "info@xn--mller-kva.de"),
        ("info@xn--mller-kva.müller.de", "info@xn--mller-kva.xn--mller-kva.de"),
        ("info@straße.de", "info@xn--strae-oqa.de"),  # IDNA 2003 would make strasse.de of it, which is another's
        ("info@βόλος.com", "info@xn--nxasmm1c.com"),
        ("info@ΒΌΛΟΣ.com", "info@xn--nxasmq6b.com"),
        ("info@例え。テスト", "info@xn--r8jz45g.xn--zckzah"),
        ("info@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0ecom", "info@example.com"),
        ("info@example\uff61com", "info@example.com"),
        (
            "info@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com",
            "info@xn--mgba3gch31f060k.com",
        ),  # there the joiner is part of the name
        ("info@foo_bar.müller.de", "info@foo_bar.xn--mller-kva.de"),
        ("info@правительство.рф", "info@xn--80aealotwbjpid2k.xn--p1ai"),
        ('"a@b"@müller.de', '"a@b"@xn--mller-kva.de'),
    ],
)
def test_an_international_domain_is_sent_as_the_dns_has_it(text: str, sent: str) -> None:
    assert normal_form(text) == sent
    assert address_problem(sent) is None


@pytest.mark.parametrize(
    ("text", "reason", "named"),
    [
        ("josé@example.com", "address_not_ascii", "U+00E9"),
        ("\u212aate@example.com", "address_not_ascii", "U+212A"),
        ("an\u00a0na@example.com", "address_not_ascii", "U+00A0"),
        ("anna\uff20example.com", "address_not_ascii", "U+FF20"),
        ("名前@例え.jp", "address_not_ascii", "U+540D"),
        ("info@ex\u00a0ample.com", "invalid_domain", "U+00A0"),
        ("info@i❤.ws", "invalid_domain", "U+2764"),
        ("info@-müller.de", "invalid_domain", "U+00FC"),
        ("info@müller..de", "invalid_domain", "U+00FC"),
        ("info@℀.com", "invalid_domain", "U+2100"),
        ("info@a\uff20b.com", "invalid_domain", "U+FF20"),
        ("info@רmix1.de", "invalid_domain", "U+05E8"),
        (f"info@{'ü' * 64}.de", "invalid_domain", "U+00FC"),
        ("info@müller\udce9.de", "invalid_domain", "U+DCE9"),
    ],
)
def test_what_has_no_ascii_form_is_refused_with_the_character_and_without_the_address(
    text: str, reason: str, named: str
) -> None:
    problem = address_problem(normal_form(text))
    assert problem is not None
    assert problem[0] == reason
    assert named in problem[1]
    assert problem[1].isascii()
    assert "example" not in problem[1]


@given(texts)
@example("x@mül\u202aler.de")
@example("\u200c@\u0628\u200c\u0628.com")
def test_a_normal_form_is_its_own(text: str) -> None:
    once = normal_form(text)
    assert normal_form(once) == once


@given(st.text(st.characters(min_codepoint=1, max_codepoint=127)))
def test_a_plain_address_has_the_form_that_it_always_had(text: str) -> None:
    """Or hashes of what was delivered, and of imports in progress, would no longer fit; but for what can't be sent."""
    stripped = text.strip()
    if stripped.isprintable():
        assert normal_form(text) == stripped.lower()


def test_an_import_that_is_in_progress_finds_its_plain_addresses_again() -> None:
    number = UUID(int=7)
    before = hashlib.blake2b(b"anna@example.com", digest_size=16, key=number.bytes).hexdigest()
    assert address_hash(" Anna@Example.com", number) == before


@given(texts, texts)
def test_nothing_but_a_domain_ever_turns_into_other_letters(local: str, domain: str) -> None:
    sent = normal_form(f"{local}@{domain}")
    if sent.isascii() and sent:
        assert letters(sent).startswith(letters(local))


def letters(text: str) -> str:
    return "".join(character.lower() for character in text if "!" <= character <= "~")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("anna@example.com", "anna@example.com"),
        (" Anna@Example.com", " Anna@Example.com"),
        ("anna@example.com\r", "anna@example.com<U+000D>"),
        ("anna\x1b[2J@example.com", "anna<U+001B>[2J@example.com"),
        ("\xa0anna@example.com", "<U+00A0>anna@example.com"),
        ("info@müller.de", "info@müller.de (sent as info@xn--mller-kva.de)"),
        ("josé@example.com", "josé@example.com"),
        ("\u200b", "<U+200B>"),
        ("", ""),
    ],
)
def test_every_character_of_an_address_can_be_seen(text: str, shown: str) -> None:
    assert shown_address(text) == shown
