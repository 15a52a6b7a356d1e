"""Writes docs/sql: each statement of the queue as PostgreSQL gets it, to be read and pasted into psql.

python -m crm_sync_pipeline_tests.contact_queue.sql_pages
"""

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline_tests.contact_queue.sql_layout import laid_out
from crm_sync_pipeline_tests.contact_queue.sql_statements import Found, Variant, statements

COMMAND = f"python -m {__spec__.name if __spec__ else __name__}"
FOLDER = Path(__file__).parents[2] / "docs" / "sql"

_LINE = 100
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")

# What a reader may begin with. No contact has this id, so the statements that write change nothing.
_BY_NAME: Mapping[str, str] = {
    "schema": "public",
    "name": "contacts",
    "table": "contacts",
    "role": "postgres",
    "oid": "0",
    "written": "{email}",
    "ours": "{deliveries}",
    "ours_in": "crm_sync",
    "lock_timeout": "2s",
    "results": "{}",
    "synced_at": "now",
    "key": "ann@example.com",
    "start": "ann@",
}
_BY_TYPE: Mapping[type, str] = {
    pg.UUID: "00000000-0000-0000-0000-000000000000",
    sa.Boolean: "false",
    sa.Integer: "100",
    sa.Float: "300",
    sa.ARRAY: "{}",
    sa.types.UserDefinedType: "{}",  # an array of ours
}


def pages() -> dict[str, str]:
    """The text of each page by the name of its file."""
    made: dict[str, str] = {}
    for name, group in groupby(statements(), key=lambda found: found.name):
        several = list(group)
        for found in several:
            file = (
                f"{name}.sql" if len(several) == 1 else f"{name}-{_table_of(found.variants[0].compiled.statement)}.sql"
            )
            if file in made:
                raise ValueError(f"Two statements are called {name!r}, on one table. Rename one of the two.")
            made[file] = _page(found)
    return made


def write(folder: Path) -> None:
    """Write all pages to the folder, and remove those of statements that no longer exist."""
    wanted = pages()
    folder.mkdir(parents=True, exist_ok=True)
    for page in folder.glob("*.sql"):
        if page.name not in wanted:
            page.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


def _table_of(statement: Any) -> str:
    """The table that it writes to or reads first."""
    table: Any = statement.table if isinstance(statement, sa.UpdateBase) else statement.get_final_froms()[0]
    return str(table.name)


def _page(found: Found) -> str:
    header = "\n\n".join(_header(found))
    parts = [textwrap.indent(header, "-- ", lambda _line: True).replace("-- \n", "--\n")]
    return "\n\n".join([*parts, *map(_statement, found.variants)]) + "\n"


def _header(found: Found) -> Iterator[str]:
    yield found.name
    if found.is_condition:
        yield "A condition that other statements contain, shown as the condition of a query."
    yield from (textwrap.fill(each, _LINE) for each in found.description.split("\n\n") if each)
    if found.used_by:
        yield textwrap.fill(f"Used by {', '.join(found.used_by)}.", _LINE)
    asked = {name: bind for variant in found.variants for name, bind in _parameters(variant).items() if bind.required}
    if asked:
        yield "\n".join(["Parameters:", *(f"\\set {name} '{_example(bind)}'" for name, bind in asked.items())])


def _parameters(variant: Variant) -> dict[str, Any]:
    """By name, in the order of the text."""
    names = dict.fromkeys(name for name in _PLACEHOLDER.findall(variant.compiled.string) if name)
    return {name: variant.compiled.binds[name] for name in names}


def _statement(variant: Variant) -> str:
    """The SQL with psql's variables. `:name` is put in as it stands, which a NULL needs; `:'name'` in quotes."""
    compiled, parameters = variant.compiled, _parameters(variant)
    constants = {name: bind.value for name, bind in parameters.items() if not bind.required}

    def variable(found: "re.Match[str]") -> str:
        if not (name := found[1]):
            return "%"
        blank = " " if compiled.string[: found.start()].endswith(":") else ""  # or psql would read a cast
        is_null = name in constants and constants[name] is None
        return f"{blank}:{name}" if is_null else f"{blank}:'{name}'"

    sql = _PLACEHOLDER.sub(variable, compiled.string)
    is_laid_out = isinstance(compiled.statement, sa.TextClause) and "\n" in sql.strip()  # by who wrote it
    lines = [f"-- {variant.when}:"] if variant.when else []
    lines += [f"\\set {name} {_psql_value(value)}" for name, value in constants.items()]
    return "\n".join([*lines, f"{textwrap.dedent(sql).strip() if is_laid_out else laid_out(sql)};"])


def _example(bind: "sa.BindParameter[Any]") -> str:
    if bind.key in _BY_NAME:
        return _BY_NAME[bind.key]
    if bind.key.endswith("_rows"):
        return "[]"
    return next((value for kind, value in _BY_TYPE.items() if isinstance(bind.type, kind)), "text")


def _psql_value(value: object) -> str:
    """The value for `\\set`, in quotes that psql takes off."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    text = "{" + ",".join(map(str, value)) + "}" if isinstance(value, list) else str(value)
    return text if re.fullmatch(r"-?[\d.]+", text) else "'" + text.replace("\\", r"\\").replace("'", r"\'") + "'"


if __name__ == "__main__":
    write(FOLDER)
    sys.stdout.write(f"Wrote {len(list(FOLDER.glob('*.sql')))} pages to {FOLDER}\n")
