"""What is personal in texts of others is masked, and nothing else is."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_sync_pipeline.domain.masking import PHONE_MASK, redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("anna@example.com is not valid", "a***@example.com is not valid"),
        ('{"email":"anna@example.com"}', '{"email":"a***@example.com"}'),
        ("<anna@example.com>, (bob@example.org); x", "<a***@example.com>, (b***@example.org); x"),
        ("Anna.Berg+tag@sub.example.co.uk!", "A***@sub.example.co.uk"),
        ("GET /contacts/anna%40example.com failed", "GET /contacts/a***@example.com failed"),
        ("GET /contacts/anna%2Btag%40example.com?x=1", "GET /contacts/a***@example.com"),
        ("'anna@example.com' is no id", "a***@example.com is no id"),
        ("名前@例え.jp", "名***@例え.jp"),
        ("o'brien@example.com is blocked", "o***@example.com is blocked"),
        ("two@signs@example.com", "t***@example.com"),
        ("anna@example.com|bob@example.org", "a***@example.org"),
        ("anna@localhost is odd", "<address> is odd"),
        ('"john doe"@example.com', "j***@example.com"),
        ('"a@b"@example.com is taken', "a***@example.com is taken"),
        ('"a\\"b c"@example.com', "a***@example.com"),
        ('"to" and "john x"@example.com', '"to" and j***@example.com'),
        (r'{"email":"\"john doe\"@example.com"}', '{"email":j***@example.com"}'),
        ("%22john doe%22@example.com", "j***@example.com"),
        ("%22john%20doe%22%40example.com", "j***@example.com"),
        ("&quot;john doe&quot;&#64;example.com", "j***@example.com"),
        ('"()<>"@example.com', "<address>"),
        ("GET /contacts/anna%2540example.com", "GET /contacts/a***@example.com"),
        (r"anna\u0040example.com", "a***@example.com"),
        ("anna\uff20example.com", "a***@example.com"),
        ("anna@[192.168.0.1] refused", "<address> refused"),
        ("anna@[IPv6:2001:db8::1]", "<address>"),
        ("info@müller.de", "i***@müller.de"),
        ("info@xn--mller-kva.de", "i***@xn--mller-kva.de"),
        ("info@例え。jp", "<address>"),
        ("nothing here", "nothing here"),
        ("50 % @ noon", "50 % @ noon"),
        ("", ""),
    ],
)
def test_redacted_text_holds_no_address(text: str, shown: str) -> None:
    assert redacted(text) == shown


@settings(max_examples=50)
@given(before=st.text(max_size=20), after=st.text(max_size=20), address=st.emails())
def test_no_address_survives_redaction(before: str, after: str, address: str) -> None:
    assert address not in redacted(f"{before} {address} {after}")


PHONES = (
    "+4915112345678",
    "+49 151 1234567",
    "+49 (0)151/123-45-67",
    "+1 (415) 555-2671",
    "(415) 555-2671",
    "415-555-2671",
    "1 415 555 2671",
    "0151 12345678",
    "030/901820",
    "(030) 90 18 20",
    "01 23 45 67 89",
    "01.23.45.67.89",
    "004915112345678",
    "%2B4915112345678",
)
LABELS = ("SMS: {}", '"SMS":"{}"', "Invalid phone number {}", "WHATSAPP={}", "tel:{}", "https://wa.me/{}", "Telefon {}")


@pytest.mark.parametrize("number", PHONES)
@pytest.mark.parametrize("text", ["{}", "{} is taken", "refused ({}), again", '{{"x":"{}"}}', "at {}."])
def test_a_phone_number_is_masked_wherever_it_stands(number: str, text: str) -> None:
    assert redacted(text.format(number)) == text.format(PHONE_MASK)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("number", ["4915112345678", "015112345678", "14155552671", "5550123456"])
def test_digits_that_a_word_calls_a_phone_number_are_masked(label: str, number: str) -> None:
    assert redacted(label.format(number)) == label.format(PHONE_MASK)
    assert redacted(f"'{number}' is not a valid phone number") == f"'{PHONE_MASK}' is not a valid phone number"


NO_PHONES = (
    "2026-03-01",
    "at 2026-03-01 14:00:05.123456",
    "2026-03-01T14:00:00+02:00",
    "2026-03-01T14:00:00+0200 100000",
    "20260301T120000Z",
    "01.03.2026 09:30",
    "01/03/2026",
    "phone: checked 2026-03-01",
    "phone: 2026-03-01",
    "3f2b0c1e-9c1d-4c57-8f5e-2a1b3c4d5e6f",
    "12345678-1234-1234-1234-123456789012",
    "phone 12345678-1234-1234-1234-123456789012",
    "Brevo API error (400): x",
    "SQLSTATE 23505",
    "contact 123456789 has a phone number already",
    "process 4915112345678 is the one whose SMS is taken",
    '"id":4915112345678',
    "51234567890",
    "request 1772380800123",
    "Invalid phone number (request id 1772380800123)",
    "req-0123456789ab",
    "trace 0123-4567",
    "x-sib-ratelimit-reset 1772380800",
    "1,234,567 of 2,345,678 contacts",
    "1234567 of 2345678",
    "amount 1 000 000",
    "SMS limit of 1000000 messages",
    "took 0.123 s, 12345 ms",
    "1.13.27",
    "v2.0.1+20260301123456",
    "10.0.0.1",
    "phone 192.168.100.200",
    "192.168.100.200:5432",
    "[2001:db8::1]:8080",
    "BREVO_PHONE_REGION, BREVO_LIST_ID 3",
    "1e+1234567",
    "Max retries exceeded (3). Last error: timeout after 30 seconds",
)


@pytest.mark.parametrize("text", NO_PHONES)
def test_what_is_no_phone_number_stays(text: str) -> None:
    assert redacted(text) == text


@given(st.text() | st.text("0123456789+()-./ @%4'\"\\phonesm", max_size=40))
def test_masking_what_is_masked_changes_nothing(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once


LONG = (
    "x",
    '"',
    '\\"',
    "1 ",
    "+",
    "0",
    "+4",
    "phone ",
    "phone:",
    "%25",
    "a@",
    '"a',
    "a@[",
    "\\",
    "(0",
    "&",
    "/",
    ".@",
    "@",
    "+1 ",
)


@pytest.mark.parametrize("piece", LONG)
def test_the_time_grows_with_the_length_of_the_text_alone(piece: str) -> None:
    text = piece * (200_000 // len(piece))  # a search that starts anew at each character would take minutes here
    began = time.process_time()
    redacted(text)
    assert time.process_time() - began < 5
