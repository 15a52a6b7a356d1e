import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from crm_sync_pipeline.domain.characters import safe_to_print

PIPE_WIDTH = 160
"""Columns where the output is not a terminal, so that lines stay whole in a file."""


class _Terminal(Console):
    """Prints the escape sequences of its own styles, and none that stands in a text: rows and answers may hold any."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(safe_to_print(text), **options)


def terminal(*, stderr: bool = False) -> Console:
    """Standard output, or standard error; colours only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return _Terminal(highlight=False, emoji=False, soft_wrap=True, stderr=stderr, width=width)
