"""What is trimmed, and what is shown by its code point."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.characters import safe_to_print, trimmed, visible


@given(st.text(), st.text(st.sampled_from(" \t\r\n\xa0\u200b\ufeff\u3000\x00\x1b")))
def test_what_is_around_a_text_is_trimmed_and_nothing_else(text: str, around: str) -> None:
    inside = f"a{text}b"
    assert trimmed(f"{around}{inside}{around}") == inside
    assert trimmed(around) == ""
    assert trimmed(trimmed(text)) == trimmed(text)


@given(st.text())
def test_what_is_shown_steers_nothing_and_can_be_encoded(text: str) -> None:
    for shown in (safe_to_print(text), visible(text)):
        shown.encode()
        assert not any(character in shown for character in "\x1b\x9b\r\b\x07\u202e\u2066")
    assert "\n" not in visible(text)


@pytest.mark.parametrize("piece", [" ", "\u200b", "\x1b", "x \u200b", "\u200bx"])
def test_the_time_grows_with_the_length_of_the_text_alone(piece: str) -> None:
    text = f"x{piece * 300_000}x"
    began = time.process_time()
    assert trimmed(text) == text
    visible(text)
    safe_to_print(text)
    assert time.process_time() - began < 5
