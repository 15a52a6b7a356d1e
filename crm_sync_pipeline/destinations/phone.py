from functools import lru_cache

import phonenumbers


@lru_cache(maxsize=1024)  # it is asked for twice: when sending, and when saying what was left out
def international_number(text: str | None, region: str | None) -> str | None:
    """The number as '+14155552671', or None where it can't be dialled as it stands.

    A number without a country code (neither '+' nor '00' before it) counts as one of `region` (ISO 3166, 'US'); without
    a region it is left out, because a guess would write to a stranger. Extensions are dropped: no CRM can use them.
    """
    if not text or not text.strip():
        return None
    number = text.strip()
    if number.startswith("00"):
        number = f"+{number[2:]}"
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
