"""What a command imports before it does anything: a second of CPU is much for a script that asks often."""

import json
import os
import subprocess
import sys

import click
import pytest

from crm_sync_pipeline import cli
from crm_sync_pipeline_tests.cli.conftest import Shop

IMPORTED_BY = """
import json, sys
from crm_sync_pipeline.cli import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def imported_by(*words: str) -> set[str]:
    """The packages that a process has imported once the command is done."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_BY, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=dict(os.environ),
    )
    return set(json.loads(done.stderr))


def test_help_imports_nothing_that_a_command_needs() -> None:
    heavy = {"alembic", "dagster", "httpx", "psycopg", "pydantic", "rich", "sqlalchemy", "starlette", "uvicorn"}
    assert imported_by("--help") & heavy == set()


@pytest.mark.parametrize(
    "words", [["status"], ["explain", "jane@example.com"], ["acts"], ["db", "check"], ["hold", "--all"]], ids=" ".join
)
def test_what_asks_the_database_alone_imports_neither_dagster_nor_what_calls_a_crm(
    shop: Shop, words: list[str]
) -> None:
    shop.world.add("jane@example.com")
    heavy = {"aiohttp", "alembic", "dagster", "httpx", "starlette", "uvicorn"}
    assert imported_by(*words) & heavy == set()


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_each_command_is_listed_with_the_first_sentence_of_its_help(name: str) -> None:
    command = cli.crm_sync.get_command(click.Context(cli.crm_sync), name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert cli.COMMANDS[name][2] == command.get_short_help_str(500)
