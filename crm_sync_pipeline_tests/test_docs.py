"""What the documentation says of settings, files, command lines and reasons is true."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from crm_sync_pipeline import settings
from crm_sync_pipeline.cli import crm_sync
from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES
from crm_sync_pipeline.simulators.faults import Fault

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = ROOT / "README.md"
ADR = ROOT / "docs" / "adr"

CRM_NAMES = tuple(name.upper() for name in DESTINATIONS)
NONE = "-"


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every variable of ours; those that each CRM has stand once, with {CRM} for its name."""
    groups: list[tuple[str, type[BaseSettings]]] = [
        ("", settings.GeneralSettings),
        *((str(entry.settings.model_config.get("env_prefix")), entry.settings) for entry in DESTINATIONS.values()),
        ("{CRM}_SYNC_", settings.SyncSettings),
        ("CRM_SYNC_", settings.AlertSettings),
        ("CRM_SYNC_", settings.HistorySettings),
    ]
    for prefix, group in groups:
        for name, field in group.model_fields.items():
            yield prefix + name.upper(), field


FIELDS = dict(_fields())


def _default(field: FieldInfo) -> str:
    if field.default is None:
        return ""
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def _bounds(field: FieldInfo) -> str:
    """'1 to 64', 'above 0 to 10000', 'true or false', or - where any text does."""
    if isinstance(field.default, bool):
        return "true or false"
    found: dict[str, Any] = {}
    for limit in field.metadata:
        found |= {name: getattr(limit, name) for name in ("ge", "gt", "le", "lt") if hasattr(limit, name)}
    low = str(found["ge"]) if "ge" in found else f"above {found['gt']}" if "gt" in found else ""
    return f"{low} to {found['le']}" if found else NONE


def _row(name: str, field: FieldInfo) -> str:
    default = f"`{_default(field)}`" if _default(field) else NONE
    return f"| `{name}` | {default} | {_bounds(field)} | {field.description} |"


def _of_dagster() -> str:
    """The one variable that dagster.yaml reads and settings/groups.py does not."""
    return str(yaml.safe_load((ROOT / "dagster.yaml").read_text())["storage"]["custom"]["config"]["postgres_url_env"])


def _relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("name", FIELDS)
def test_each_setting_has_its_row_in_the_list_of_settings(name: str) -> None:
    assert _row(name, FIELDS[name]) in (ROOT / "docs" / "settings.md").read_text().splitlines()


def test_the_list_of_settings_has_no_row_for_a_setting_that_there_is_not() -> None:
    listed = re.findall(r"^\| `([A-Z0-9_{}]+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)

    assert sorted(listed) == sorted([*FIELDS, _of_dagster()])


def test_the_example_of_an_env_file_has_every_setting_with_its_default_and_nothing_else() -> None:
    wanted = {_of_dagster(): ""}
    for name, field in FIELDS.items():
        for crm in CRM_NAMES if "{CRM}" in name else ("",):
            wanted[name.replace("{CRM}", crm)] = _default(field)

    lines = (ROOT / ".env.example").read_text().splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == [], "an example sets nothing by itself"
    assert dict(re.findall(r"^#([A-Z][A-Z0-9_]+)=(.*)$", "\n".join(lines), re.MULTILINE)) == wanted


def test_the_settings_that_the_readme_shows_have_their_true_defaults() -> None:
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (\S+) \|", README.read_text(), re.MULTILINE)
    assert rows
    for name, shown in rows:
        field = FIELDS[name.replace("BREVO_SYNC_", "{CRM}_SYNC_")]
        assert shown == (f"`{_default(field)}`" if _default(field) else NONE), name


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{target} in {_relative(page)}"
        assert not anchor or anchor in _anchors(there), f"{target}#{anchor} in {_relative(page)}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_pictures_speak_to_those_who_do_not_see_them() -> None:
    for page in PAGES:
        assert "![](" not in page.read_text(), _relative(page)


def _command_lines() -> Iterator[tuple[str, str]]:
    """Every `crm-sync ...` in code, on any page."""
    for page in PAGES:
        fences = re.findall(r"^```.*?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        code = [line for fence in fences for line in fence.splitlines()] + re.findall(r"`([^`\n]+)`", prose)
        for line in code:
            if found := re.match(r"(?:\$ |[A-Z_]+=\S+ )*(?:\.venv/bin/)?crm-sync(?= |$)(.*)", line):
                yield _relative(page), found[1].split("  #")[0].strip()


COMMAND_LINES = sorted(set(_command_lines()))


def _understood(arguments: list[str]) -> tuple[click.Command, list[str]]:
    """The command that these arguments reach, and what is left for it. KeyError where there is none."""
    command: click.Command = crm_sync
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        found = command.get_command(click.Context(command), arguments[0])
        assert found is not None, arguments[0]
        command, arguments = found, arguments[1:]
    return command, arguments


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES)
def test_every_command_line_that_is_shown_is_one(page: str, line: str) -> None:
    command, rest = _understood(shlex.split(line))
    options = {name: option for option in command.params for name in option.opts}
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    following = iter(rest)
    positional = []
    for word in following:
        if not word.startswith("-"):
            positional.append(word)
            continue
        assert word in {*options, "--help", "--version"}, f"{word} in {page}"
        option = options.get(word)
        if isinstance(option, click.Option) and not option.is_flag:
            value = next(following, None)
            assert value is not None, f"{word} in {page} needs a value"
            if isinstance(option.type, click.Choice):
                assert value in option.type.choices
            if word == "--fault":
                assert Fault.parse(value)
    assert arguments or not positional, f"{positional} in {page}: {command.name} takes no argument"


def test_the_readme_shows_every_command() -> None:
    shown = {_understood(shlex.split(line))[0].name for page, line in COMMAND_LINES if page == "README.md"}

    assert shown >= {command.name for command in _leaves(crm_sync)}


def _leaves(group: click.Group) -> Iterator[click.Command]:
    context = click.Context(group)
    for command in filter(None, (group.get_command(context, name) for name in group.list_commands(context))):
        yield from _leaves(command) if isinstance(command, click.Group) else (command,)


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_every_run_command_that_is_shown_is_one(page: Path) -> None:
    known = re.search(r"^    ([a-z |]+)\) command=\$1", (ROOT / "run").read_text(), re.MULTILINE)
    assert known
    for verb in re.findall(r"\./run ([a-z]+)", page.read_text()):
        assert verb in known[1].split(" | "), f"./run {verb} in {_relative(page)}"


def test_the_list_of_decisions_is_complete_and_in_order() -> None:
    pages = sorted(page.name for page in ADR.glob("[0-9]*.md"))
    listed = re.findall(r"\]\(([0-9][^)]+\.md)\)", (ADR / "README.md").read_text())

    assert listed == pages
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))


@pytest.mark.parametrize("page", sorted(ADR.glob("[0-9]*.md")), ids=_relative)
def test_a_decision_has_its_three_parts_on_one_page(page: Path) -> None:
    text = page.read_text()

    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 60
    assert text.splitlines()[0].split(". ", 1)[1] in (ADR / "README.md").read_text(), "the list has another title"


def _refused(status: int, message: str, code: str = "invalid_parameter", clashing: str = "") -> Answer:
    metadata = f', "metadata": {{"duplicate_identifiers": ["{clashing}"]}}' if clashing else ""
    return Answer(status, {}, f'{{"code": "{code}", "message": "{message}"{metadata}}}'.encode())


BREVO_ANSWERS = [
    Answer(201, {}, b'{"id": 21}'),
    Answer(204, {}, b""),
    Answer(200, {}, b'{"ok": true}'),
    _refused(400, "Invalid email address"),
    _refused(400, "Invalid phone number"),
    _refused(400, "Unable to create contact, SMS is already associated with another Contact", clashing="SMS"),
    _refused(400, "Unable to update contact, email is already associated with another Contact", clashing="email"),
    _refused(401, "Key not found", "unauthorized"),
    _refused(401, "authentication not found in headers", "unauthorized"),
    _refused(401, "We have detected you are using an unrecognised IP address 203.0.113.7", "unauthorized"),
    _refused(402, "Not enough credits", "not_enough_credits"),
    _refused(403, "Permission denied", "permission_denied"),
    _refused(404, "Not found", "document_not_found"),
    _refused(405, "Method not allowed", "method_not_allowed"),
    _refused(425, "Too early", "account_in_process"),
    Answer(429, {}, b""),
    Answer(500, {}, b""),
    Answer(502, {}, b"<html>"),
    Answer(524, {}, b"<html>"),
]


@pytest.mark.parametrize("answer", BREVO_ANSWERS, ids=lambda answer: f"{answer.status} {answer.data}")
def test_each_answer_of_brevo_is_told_as_it_is_taken(answer: Answer) -> None:
    outcome = Brevo(api_key="k").read(answer)
    status = "5xx" if answer.status >= 500 else str(answer.status)
    reason = "http_5xx" if status == "5xx" else outcome.reason
    told = (ROOT / "docs" / "destinations" / "brevo.md").read_text()

    rows = [line for line in told.splitlines() if f"`{reason}`" in line and re.match(rf"\| [^|]*\b{status}\b", line)]

    assert len(rows) == 1, f"one row with {status} and `{reason}`"
    assert f"| {OUTCOME_NAMES[type(outcome)]} |" in rows[0]


STUMBLES = re.compile(
    r"\b(?:is no (?:CRM|destination|act|action|JSON|number|contact id)|[Mm]end(?:s|ed)?|in the air|under way|stand-ins?"
    r"|so long ago|(?:pace|index|indexes|row|request|run) an? (?:account|CRM|destination|contact)|to be had)\b"
    r'|"""(?:See [A-Z]\w+[.;]|The same (?:of|for|as|with) )'
    r"|\b(?:(?:is|not|lock)_held|held_(?:by|since)\w*|take_off|kept_apart|(?:is|only)_alone|of_one|let_go|\w+_up_imports?)\b"
    r"|\b(?:MOST_(?:POSTS|PAUSES)|[A-Z]+_A_(?:SECOND|LEASE|CONTACT))\b"
)
"""Habits that stop a reader: "is no" for "is not a", "a" for "per"; a docstring that can't be read alone; a name that
is a clause, or has two meanings."""

READ_BY_PEOPLE = [
    path
    for pattern in ("crm_sync_pipeline/**/*.py", "docs/*.md", "docs/destinations/*.md", "*.md", ".env.example")
    for path in sorted(ROOT.glob(pattern))
    if "migrations" not in path.parts and path.name not in ("CHANGELOG.md", "tables.py")
]


@pytest.mark.parametrize("path", READ_BY_PEOPLE, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_people_read_is_plain_english(path: Path) -> None:
    found = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if STUMBLES.search(line)
    ]
    assert found == []
