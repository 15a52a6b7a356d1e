"""docs/sql shows the statements as they are, and psql accepts each of its pages."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_sync_pipeline.sandbox.postgres_host import find_binaries
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.contact_queue import sql_pages, sql_statements
from crm_sync_pipeline_tests.contact_queue.sql_layout import laid_out
from crm_sync_pipeline_tests.contact_queue.sql_pages import COMMAND, FOLDER

OUTSIDE_TRANSACTIONS = {
    "indexes_for.sql": "CREATE INDEX CONCURRENTLY",
    "outdated_indexes_for.sql": "DROP INDEX CONCURRENTLY",
}
"""Pages that can't be tried out and rolled back, and what PostgreSQL refuses within a transaction."""


def _texts(folder: Path) -> dict[str, str]:
    return {page.name: page.read_text() for page in folder.glob("*.sql")}


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command would write now, into a folder with a page of a statement that is gone."""
    folder = tmp_path_factory.mktemp("sql")
    (folder / "gone.sql").write_text("SELECT 1;\n")
    sql_pages.write(folder)
    return folder


def test_the_folder_has_a_page_for_each_statement_and_each_page_is_true(rewritten: Path) -> None:
    wanted, found = _texts(rewritten), _texts(FOLDER)

    missing, orphans = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    stale = sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name])

    assert (missing, orphans, stale) == ([], [], []), (
        f"Statements without a page: {missing}. Pages without a statement: {orphans}. Pages whose statement, "
        f"description or use has changed: {stale}. Run `{COMMAND}` to write them again, and read the diff: what you "
        "did not mean to change is a mistake."
    )


def test_layout_changes_nothing_but_white_space() -> None:
    for found in sql_statements.statements():
        for variant in found.variants:
            sql = variant.compiled.string
            if "--" not in sql:  # a comment, which is shown as it was written
                assert re.sub(r"\s", "", laid_out(sql)) == re.sub(r"\s", "", sql), found.name


def test_white_space_within_quotes_stays_as_it_is() -> None:
    quoted = ["'" + "a  " * 40 + "\n'", '"b  c"', "'it''s  ( , AND'", "'  CASE  '"]
    long = f"SELECT {quoted[0]} AS {quoted[1]}, {quoted[2]}, CASE WHEN x THEN {quoted[3]} END FROM t"

    shown = laid_out(long)

    assert "\nFROM t" in shown
    assert [each for each in quoted if each not in shown] == []


def test_the_pages_are_for_a_table_with_every_column_that_is_known(world: World) -> None:
    known = world.database.contacts().known

    assert set(sql_statements.CONTACTS.known.c.keys()) == set(known.c.keys())
    assert sql_statements.CONTACTS.qualified == world.database.contacts().qualified


def test_psql_accepts_each_page_with_its_example_values(fresh: World, tmp_path: Path) -> None:
    script = tmp_path / "all.psql"
    script.write_text("\n".join(_session(tmp_path)))

    done = subprocess.run(
        [_psql(), "--no-psqlrc", "--quiet", "--output=/dev/null", "--file", script, fresh.url],
        capture_output=True,
        text=True,
        check=False,
    )

    assert not done.stderr, done.stderr.replace(f"{tmp_path}/", "")
    assert done.returncode == 0


def _psql() -> str:
    found = shutil.which("psql", path=find_binaries()) or shutil.which("psql")
    if found is None:
        pytest.skip("there is no psql here")
    return found


def _session(folder: Path) -> Iterator[str]:
    """Each page as the README says: its parameters set, within a transaction that is rolled back."""
    yield "SET client_min_messages TO warning;"
    for name, text in _texts(FOLDER).items():
        page = folder / name
        page.write_text(text.replace("-- \\set ", "\\set "))
        if name not in OUTSIDE_TRANSACTIONS:
            yield from ("BEGIN;", f"\\i {page}", "ROLLBACK;")
        else:
            yield from (f"DROP INDEX {index};" for index in re.findall(r"^CREATE INDEX CONCURRENTLY (\w+)", text, re.M))
            yield f"\\i {page}"
        yield from (f"\\unset {variable}" for variable in re.findall(r"\\set (\w+)", text))
