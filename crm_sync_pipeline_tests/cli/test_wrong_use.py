"""What goes wrong is told in one sentence: what, what follows, what to do. 1: something failed; 2: wrong use."""

import json
import os
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from crm_sync_pipeline import cli
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.cli.conftest import Command, Shop

ID = "00000000-0000-4000-8000-000000000000"
NEEDS_DATABASE = [
    ("db", "check"),
    ("db", "upgrade"),
    ("select", ID),
    ("unselect", "--all"),
    ("requeue", "--all"),
    ("status",),
    ("explain", ID),
    ("sync-now", ID),
]
each_command = pytest.mark.parametrize("words", NEEDS_DATABASE, ids=" ".join)


@each_command
@pytest.mark.parametrize(
    ("url", "says"),
    [
        (None, "DATABASE_URL is not set. Nothing was done. Set it to the PostgreSQL that holds your contacts"),
        ("not a url", "DATABASE_URL can't be read as a URL. Nothing was done. It should look like postgresql://"),
        ("postgresql://me:sesame@db:port/crm", "DATABASE_URL can't be read as a URL."),
        ("mysql://me:sesame@db/crm", "DATABASE_URL names mysql; the queue needs PostgreSQL"),
        ("postgresql://me:sesame@db/crm?shema=sesame", "DATABASE_URL has the option shema, which PostgreSQL's client"),
        ("postgresql://me:1?sesame=@db/crm", "DATABASE_URL can't be read as a URL."),
        ("postgresql://me:sesame@127.0.0.1:1/crm", "The database at 127.0.0.1:1 can't be used: "),
    ],
)
def test_a_database_that_is_not_there_is_told_of_in_a_sentence(
    crm_sync: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], url: str | None, says: str
) -> None:
    monkeypatch.setenv("BREVO_API_KEY", "xkeysib-some-key")
    if url:
        monkeypatch.setenv("DATABASE_URL", url)
    said = crm_sync(*words)
    wrong_use = "DATABASE_URL" in says
    assert (said.code, said.out) == (2 if wrong_use else 1, "")
    assert said.err.startswith(f"Error: {says}")
    assert said.err.count("\n") == 1
    assert "sesame" not in said.err


@each_command
def test_a_missing_table_is_told_of_in_a_sentence(
    crm_sync: Command, monkeypatch: pytest.MonkeyPatch, empty: World, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty.url)
    monkeypatch.setenv("BREVO_API_KEY", "xkeysib-some-key")
    said = crm_sync(*words)
    if words == ("db", "upgrade"):
        assert said.code == 0
        assert said.out.startswith("created table public.contacts\n")
        return
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "Error: There is no table contacts in the database. Nothing was done. Name yours with CRM_SYNC_CONTACTS_TABLE, "
        "or let `crm-sync db upgrade` create one.\n"
    )


@pytest.mark.parametrize(
    ("mishap", "what", "remedy"),
    [
        (
            "ALTER TABLE contacts DROP COLUMN brevo_processing_error",
            "Column brevo_processing_error of public.contacts is missing",
            "ALTER TABLE public.contacts ADD COLUMN brevo_processing_error text;",
        ),
        (
            "ALTER TYPE crm_processing_status RENAME VALUE 'Error' TO 'ERROR'",
            "which lacks the label 'Error' (case matters)",
            "ALTER TYPE crm_processing_status ADD VALUE 'Error';",
        ),
    ],
)
def test_a_table_that_lacks_something_is_told_of_with_the_statement_that_mends_it(
    crm_sync: Command, shop: Shop, mishap: str, what: str, remedy: str
) -> None:
    shop.world.execute(mishap)
    checked = crm_sync("db", "check")
    assert checked.code == 1
    for text in (checked.out, crm_sync("status", "--crm", "brevo").err):
        assert what in text
        assert remedy in text
    findings = crm_sync("db", "check", "--json").json
    assert findings["ok"] is False
    (wrong,) = [each for each in findings["findings"] if each["ok"] is False and each["subject"].startswith("Brevo")]
    assert what in wrong["detail"]
    assert wrong["remedy"] == remedy


def test_a_missing_schema_of_ours_is_told_of_with_the_command_that_makes_it(crm_sync: Command, shop: Shop) -> None:
    (contact,) = shop.world.add("a@example.com")
    shop.world.execute("DROP SCHEMA crm_sync CASCADE")
    for words in (("status",), ("explain", contact), ("sync-now", contact)):
        said = crm_sync(*words)
        assert said.code == 1
        assert "Run `crm-sync db upgrade`" in said.err
    assert crm_sync("db", "check").code == 1
    assert crm_sync("db", "upgrade").code == 0
    assert crm_sync("db", "check").code == 0


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BREVO_LIST_ID", "main", "BREVO_LIST_ID is 'main': it must be the whole number that Brevo shows beside"),
        ("BREVO_API_BASE_URL", "api.brevo.com/v3", "BREVO_API_BASE_URL is 'api.brevo.com/v3': it must start with http"),
    ],
)
def test_a_wrong_setting_is_wrong_use_of_every_command(
    crm_sync: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    for words in NEEDS_DATABASE:
        said = crm_sync(*words)
        assert said.code == 2
        assert said.err.startswith(f"Error: {says}")


# db


@pytest.mark.usefixtures("shop")
def test_db_check_lists_every_field_and_says_that_all_is_well(crm_sync: Command) -> None:
    said = crm_sync("db", "check")
    assert said.code == 0
    assert said.out.endswith("The database is ready.\n")
    assert "WRONG" not in said.out
    findings = crm_sync("db", "check", "--json").json
    assert findings["ok"] is True
    assert {each["subject"] for each in findings["findings"]} >= {"Brevo: brevo_sync_status", "Schema crm_sync"}
    assert all(each["subject"] in said.out for each in findings["findings"])


def test_db_upgrade_says_what_it_did_and_the_second_time_that_there_is_nothing_to_do(
    crm_sync: Command, monkeypatch: pytest.MonkeyPatch, empty: World
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty.url)
    first = crm_sync("db", "upgrade", "--json")
    assert (first.code, first.json["contacts_table"]) == (0, "public.contacts")
    assert "created table public.contacts" in first.json["changes"]
    second = crm_sync("db", "upgrade")
    assert (second.code, second.out) == (
        0,
        "Nothing to do: public.contacts and schema crm_sync are up to date.\n",
    )
    assert crm_sync("db", "upgrade", "--json").json["changes"] == []


# simulate


def test_a_port_in_use_is_told_of_in_a_sentence(crm_sync: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = crm_sync("simulate", "brevo", "--port", taken.getsockname()[1])
        assert said.code == 1
        assert f"Port {taken.getsockname()[1]} on 127.0.0.1 is taken by another program" in said.err
        assert "0 takes any free one" in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--fault", "meteor"), "There is no fault 'meteor'"),
        (("--fault", "latency=fast"), "takes a number of milliseconds"),
        (("--plan", "platinum"), "A rate limit is one of general, advanced, extended, unlimited"),
        (("--plan", "0"), "A rate limit is one of general, advanced, extended, unlimited"),
        (("--port", "70000"), "70000 is not in the range"),
    ],
)
def test_simulating_what_there_is_not_is_wrong_use(crm_sync: Command, words: tuple[str, ...], says: str) -> None:
    said = crm_sync("simulate", "brevo", *words)
    assert said.code == 2
    assert says in said.err


# The whole


def test_help_names_every_command_and_each_has_help_of_its_own(runner: CliRunner) -> None:
    result = runner.invoke(cli.crm_sync, ["--help"])
    assert result.exit_code == 0
    for name in cli.COMMANDS:
        assert name in result.output
        assert runner.invoke(cli.crm_sync, [name, "-h"]).exit_code == 0
    assert set(cli.COMMANDS) >= {
        *("db", "select", "unselect", "status", "explain", "requeue", "sync-now", "simulate", "demo", "dev")
    }


def test_an_unknown_command_is_wrong_use(runner: CliRunner) -> None:
    result = runner.invoke(cli.crm_sync, ["teleport"])
    assert result.exit_code == 2
    assert "No such command 'teleport'" in result.output


def as_process(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "crm_sync_pipeline.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    )


def test_a_real_process_prints_json_alone_on_standard_output_and_exits_with_0(shop: Shop) -> None:
    (contact,) = shop.world.add("jane@example.com")
    done = as_process("sync-now", str(contact), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["facts"]["remote_id"] == "1"


@pytest.mark.usefixtures("shop")
def test_a_real_process_tells_an_error_on_standard_error_and_exits_with_its_code() -> None:
    done = as_process("explain", "jane")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: 'jane' is not a contact id.")
    assert done.stderr.count("\n") == 1
