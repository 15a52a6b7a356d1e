"""What `./run dev` takes from the environment, and what it brings itself."""

from contextlib import ExitStack
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from crm_sync_pipeline.sandbox.dev import _prepare


@pytest.mark.parametrize("variable", ["DATABASE_URL", "CRM_SYNC_DATABASE_URL"])
def test_a_database_that_is_set_is_used_and_the_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("BREVO_API_KEY", "xkeysib-1")
    monkeypatch.setenv(variable, "postgresql://anna@db.example.com/contacts")
    said = StringIO()
    with ExitStack() as parts:
        environment = _prepare(parts, Path("var"), Console(file=said))
    assert f"Database: yours, by {variable}\n" in said.getvalue()
    assert environment[variable] == "postgresql://anna@db.example.com/contacts"
    assert {"DATABASE_URL", "CRM_SYNC_DATABASE_URL"} & environment.keys() == {variable}
    assert not Path("var").exists()
