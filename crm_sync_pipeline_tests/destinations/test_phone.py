import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.destinations.phone import international_number
from crm_sync_pipeline.simulators.brevo.values import read_phone

TEN_NATIONAL_FORMATS = [
    ("US", "(415) 555-2671", "+14155552671"),
    ("GB", "020 7946 0958", "+442079460958"),
    ("DE", "030/901820", "+4930901820"),
    ("FR", "01 42 68 53 00", "+33142685300"),
    ("ES", "912 345 678", "+34912345678"),
    ("IT", "06 698 12345", "+390669812345"),
    ("BR", "(11) 91234-5678", "+5511912345678"),
    ("IN", "098765 43210", "+919876543210"),
    ("AU", "(02) 9374 4000", "+61293744000"),
    ("JP", "03-3224-5000", "+81332245000"),
]


@pytest.mark.parametrize(("region", "typed", "dialled"), TEN_NATIONAL_FORMATS)
def test_a_national_number_is_dialled_from_abroad_when_its_country_is_set(
    region: str, typed: str, dialled: str
) -> None:
    assert international_number(typed, region) == dialled


@pytest.mark.parametrize(("typed", "dialled"), [row[1:] for row in TEN_NATIONAL_FORMATS])
def test_without_a_country_a_national_number_is_left_out_and_never_guessed(typed: str, dialled: str) -> None:
    assert international_number(typed, None) is None
    assert international_number(dialled, None) == dialled


@pytest.mark.parametrize("region", [None, "US", "DE", "JP"])
@pytest.mark.parametrize("typed", ["+33 1 42 68 53 00", "0033142685300", " 0033 1 42 68 53 00 ", "+33(0)142685300"])
def test_a_number_with_a_country_code_is_the_same_wherever_it_is_read(typed: str, region: str | None) -> None:
    assert international_number(typed, region) == "+33142685300"


@pytest.mark.parametrize("typed", ["+1 415 555 2671 ext. 12", "+1 415 555 2671 x12", "+14155552671;ext=12"])
def test_an_extension_is_dropped(typed: str) -> None:
    assert international_number(typed, None) == "+14155552671"


@pytest.mark.parametrize("typed", [None, "", "   ", "n/a", "call me", "+", "00", "+999 123", "12345", "+1 415 555"])
def test_what_cannot_be_dialled_is_left_out(typed: str | None) -> None:
    assert international_number(typed, "US") is None


@given(st.text(max_size=40) | st.text("0123456789+-() ./x", max_size=25), st.sampled_from([None, "US", "DE", "IN"]))
def test_whatever_is_typed_gives_nothing_or_a_valid_number_that_brevo_takes(typed: str, region: str | None) -> None:
    number = international_number(typed, region)
    if number is not None:
        assert phonenumbers.is_valid_number(phonenumbers.parse(number))
        assert read_phone(number) == number[1:]


@given(st.text(max_size=40) | st.text("0123456789+-() ./x", max_size=25), st.sampled_from([None, "US", "DE", "IN"]))
def test_a_number_once_international_stays_as_it_is(typed: str, region: str | None) -> None:
    number = international_number(typed, region)
    assert international_number(number, None) == number
