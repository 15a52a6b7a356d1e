import io
import time

import pytest

from crm_sync_pipeline.cli import progress as module
from crm_sync_pipeline.cli.progress import progress, says


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("SHOWN_AFTER_SECONDS", 0.05), ("LINE_EVERY_SECONDS", 0.1), ("DRAWN_EVERY_SECONDS", 0.01)):
        monkeypatch.setattr(module, name, seconds)


def go_on_until(text: str, shown: io.StringIO, *, within_seconds: float = 10) -> None:
    until = time.monotonic() + within_seconds
    while text not in shown.getvalue() and time.monotonic() < until:
        time.sleep(0.01)
    assert text in shown.getvalue()


@pytest.mark.parametrize(
    ("done", "total", "seconds", "sentence"),
    [
        (120_000, 1_000_000, 5, "120,000 of 1,000,000, 24,000 per second, 37 s left"),
        (10_000, 1_000_000, 10, "10,000 of 1,000,000, 1,000 per second, 16 min 30 s left"),
        (0, 100, 3, "0 of 100, 0 per second"),
        (5000, 4321, 1, "4,321 of 4,321, 5,000 per second, 0 s left"),
        (5000, None, 2, "5,000 so far, 2,500 per second"),
        (0, None, 75, "1 min 15 s so far"),
    ],
)
def test_it_says_how_much_is_done_how_fast_and_how_long_it_will_take(
    done: int, total: int | None, seconds: float, sentence: str
) -> None:
    assert says(done, total, seconds) == sentence


@pytest.mark.usefixtures("_quick")
def test_on_a_terminal_there_is_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("Selecting", 100) as advance:
        advance(40)
        go_on_until("40 of 100", terminal)
        assert "\x1b[?25l" in terminal.getvalue(), "the cursor is hidden"
    assert terminal.getvalue().rstrip("\r").endswith(("\x1b[2K", "\x1b[?25h", "\x1b[0m")), repr(
        terminal.getvalue()[-80:]
    )


@pytest.mark.usefixtures("_quick")
def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.StringIO()
    monkeypatch.setattr("sys.stderr", lines)
    with progress("Selecting", 100) as advance:
        advance(40)
        go_on_until("Selecting: 40 of 100", lines)
    assert "\x1b" not in lines.getvalue()


def test_what_is_over_at_once_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Selecting", 100) as advance:
        advance(100)
    assert capsys.readouterr() == ("", "")
