import sys

from rich.console import Console

PIPE_WIDTH = 160
"""Columns where the output is no terminal, so that lines stay whole in a file."""


def terminal(*, stderr: bool = False) -> Console:
    """Standard output, or standard error; colours only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(highlight=False, soft_wrap=True, stderr=stderr, width=None if stream.isatty() else PIPE_WIDTH)
