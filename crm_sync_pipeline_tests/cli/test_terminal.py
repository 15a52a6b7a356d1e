"""Whatever a row, an answer, a file's name or a setting holds steers no terminal, and can be seen."""

from pathlib import Path

import pytest

from crm_sync_pipeline.domain.characters import safe_to_print
from crm_sync_pipeline.domain.outcome import Rejected
from crm_sync_pipeline_tests.builders import one_run
from crm_sync_pipeline_tests.cli.conftest import Command, Said, Shop

ATTACKS = (
    "\x1b[2J\x1b[31mall is well",  # clears the screen
    "\x1b]0;title\x07",
    "\x9b2J",  # the same in one character, as some terminals take it
    "a\rOK: delivered",
    "a\x08\x08b",
    "\u202egnp.exe",  # turns the order of what follows
    "\u2066hidden\u2069",
)
SHOWN = ("<U+001B>[2J<U+001B>[31mall is well", "<U+001B>]0;title<U+0007>", "<U+009B>2J", "a<U+000D>OK: delivered")


def is_safe(said: Said) -> bool:
    return all(character.isprintable() or character == "\n" for character in said.out + said.err)


@pytest.mark.parametrize("text", ATTACKS, ids=ascii)
@pytest.mark.parametrize("column", ["email", "brevo_processing_error"])
def test_explain_shows_what_a_row_holds_and_is_not_steered_by_it(
    crm_sync: Command, shop: Shop, column: str, text: str
) -> None:
    (contact,) = shop.world.add("jane@example.com")
    one_run(shop.world.queue(), Rejected("invalid_email", "Invalid email address"))
    shop.world.execute(f"UPDATE contacts SET {column} = :text, brevo_processing_status = 'Error'", text=f"{text}@x.com")

    for command in (("explain", contact), ("status",)):
        said = crm_sync(*command)
        assert said.code == 0
        assert is_safe(said)
    assert (column != "email") or "<U+" in crm_sync("explain", contact).out


@pytest.mark.parametrize(("text", "shown"), list(zip(ATTACKS, SHOWN, strict=False)), ids=ascii)
def test_what_would_steer_shows_as_its_code_point(crm_sync: Command, shop: Shop, text: str, shown: str) -> None:
    (contact,) = shop.world.add(f"{text}@example.com")
    assert f"{shown}@example.com" in crm_sync("explain", contact).out


@pytest.mark.parametrize(
    "text", ["[bold]x[/]", "[/]", "[link=https://example.com]x[/link]", ":smile:", "[red", "\\[b]"]
)
def test_what_looks_like_markup_is_shown_as_it_stands(
    crm_sync: Command, shop: Shop, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (contact,) = shop.world.add(f"{text}@example.com")
    monkeypatch.setenv("LOGNAME", text)
    assert crm_sync("select", contact).code == 0
    assert f"{text}@example.com" in crm_sync("explain", contact).out
    assert text in crm_sync("acts").out


def test_who_acted_and_on_what_is_no_escape_sequence_either(
    crm_sync: Command, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (contact,) = shop.world.add("jane@example.com")
    monkeypatch.setenv("LOGNAME", "\x1b[2Jmallory")
    assert crm_sync("select", contact).code == 0
    said = crm_sync("acts")
    assert is_safe(said)
    assert "<U+001B>[2Jmallory" in said.out


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("name", ["\x1b[2Jids.txt", "ids\u202etxt.csv", "ids\nOK.txt\r"])
@pytest.mark.parametrize("content", [None, b"\xff\xfe\x80", b"\x1b[2Jnonsense"])
def test_the_name_and_the_content_of_a_file_steer_nothing(
    crm_sync: Command, tmp_path: Path, name: str, content: bytes | None
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    said = crm_sync("select", "--file", file)
    assert said.code == 2
    assert "Nothing was changed" in said.err or "does not exist" in said.err
    assert is_safe(said)


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "\x1b[2J@example.com"),
        ("explain", "\x1b[2J"),
        ("forget", "\x1b[2J@example.com"),
        ("select", "--status", "\x1b[2J"),
        ("\x1b[2J",),
        ("status", "--\x1b[2J"),
        ("status", "--crm", "\x1b[2J"),
        ("select", "\udcff\udcfe"),  # what a terminal sends that is not UTF-8
    ],
    ids=ascii,
)
@pytest.mark.usefixtures("shop")
def test_what_was_typed_is_not_sent_back_raw(crm_sync: Command, words: tuple[str, ...]) -> None:
    said = crm_sync(*words)
    assert said.code in (1, 2)
    assert said.err
    assert is_safe(said)


@pytest.mark.usefixtures("shop")
def test_a_setting_is_not_sent_back_raw(crm_sync: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVO_LIST_ID", "a\x1b[2Jb")
    for command in ("status", "check"):
        said = crm_sync(command)
        assert said.code in (1, 2)
        assert "a<U+001B>[2Jb" in said.out + said.err
        assert is_safe(said)


@pytest.mark.parametrize("kept", ["two\nlines", "a\ttab", "👩‍🚀", "ä 例え", "محمد", "نامه‌ای", "", "[a] {b} <c>"])
def test_what_steers_nothing_is_printed_as_it_is(kept: str) -> None:
    assert safe_to_print(kept) == kept
