"""One dagster.yaml for a laptop and for production: SQLite below DAGSTER_HOME, or the PostgreSQL that a variable names.

Dagster has no syntax for "this variable, or else that default", and takes a relative folder from the working folder of
each process, so classes of ours decide.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.root import LocalArtifactStorage, LocalArtifactStorageConfig
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from psycopg2 import ProgrammingError  # type: ignore[import-untyped] # it brings no types
from psycopg2.extensions import parse_dsn  # type: ignore[import-untyped]

from crm_sync_pipeline.contact_queue.database.connection import connect_limits
from crm_sync_pipeline.contact_queue.database.url import parsed
from crm_sync_pipeline.contact_queue.database.url_options import LIBPQ
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.settings.values import plain

HOME = "DAGSTER_HOME"


class HistoryError(CrmSyncError, click.ClickException):
    """Dagster's history can't be kept. Dagster's commands, which are click's, show the sentence and no traceback."""


def _known_to_psycopg2() -> frozenset[str]:
    """The options of its own libpq, which may be older than psycopg's."""

    def is_known(name: str) -> bool:
        with suppress(ProgrammingError):
            return bool(parse_dsn(f"{name}=x"))
        return False

    return frozenset(filter(is_known, LIBPQ))


class PostgresOrSqliteStorage(DagsterStorage, ConfigurableClass):
    """Never instantiated: `from_config_value` returns one of Dagster's own two."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """`postgres_url_env` names the variable; `sqlite_dir` is relative to DAGSTER_HOME."""
        return {"postgres_url_env": str, "sqlite_dir": str}

    @classmethod
    def from_config_value(  # type: ignore[override] # it returns one of Dagster's own, never an instance of itself
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterPostgresStorage | DagsterSqliteStorage:
        """PostgreSQL, by psycopg2 whatever driver the URL names: on psycopg 3 Dagster's storage fails late.

        Its connections give up a server that vanished, as ours do: a daemon that waits for ever starts nothing.
        HistoryError where SQLite's folder is unknown or not writable: Dagster would find out in the middle of a run.
        """
        variable = config_value["postgres_url_env"]
        text = plain(os.environ.get(variable, ""))
        if text:
            url = parsed(text, variable, known=_known_to_psycopg2()).for_psycopg2()
            limits = {name: str(value) for name, value in connect_limits(url).items()}
            return DagsterPostgresStorage(
                url.update_query_dict(limits).render_as_string(hide_password=False), inst_data=inst_data
            )
        folder = Path(config_value["sqlite_dir"])
        if not folder.is_absolute():
            _require_known_home(variable)
        folder = below_home(folder)
        if unwritable := _unwritable(folder):
            raise HistoryError(
                f"Dagster's history can't be kept in {folder}: the user of this process (uid {os.geteuid()}) can't "
                f"create or write {unwritable}. Nothing was started and no contact was claimed. Make it writable for "
                f"that user, or set {variable} to keep the history in PostgreSQL."
            )
        return DagsterSqliteStorage(str(folder), inst_data=inst_data)


class ArtifactsBelowHome(LocalArtifactStorage):
    """Dagster's own storage of files, below DAGSTER_HOME whatever folder a process works in. No job of ours uses it."""

    @classmethod
    def from_config_value(  # type: ignore[override] # as Dagster's own does
        cls, inst_data: ConfigurableClassData | None, config_value: LocalArtifactStorageConfig
    ) -> LocalArtifactStorage:
        """`base_dir` is relative to DAGSTER_HOME."""
        return cls(str(below_home(config_value["base_dir"])), inst_data)


def below_home(folder: str | Path) -> Path:
    """The folder as an absolute path: relative to DAGSTER_HOME, or to the working folder where that is not set.

    Without DAGSTER_HOME Dagster takes dagster.yaml from the working folder.
    """
    return (Path(os.environ.get(HOME) or ".").expanduser() / folder).absolute()


def _require_known_home(variable: str) -> None:
    """A process that was handed its configuration by another one can't know where that one keeps the history."""
    if os.environ.get(HOME) or Path("dagster.yaml").exists():
        return
    raise HistoryError(
        f"This process can't tell where Dagster's history is: {HOME} is not set, and there is no dagster.yaml in "
        f"{Path.cwd()}, where it works. Nothing was started and no contact was claimed. Set {HOME} to the same folder "
        f"for code server, daemon and webserver, or set {variable} for all three."
    )


def _unwritable(folder: Path) -> str | None:
    """The first folder or file that SQLite needs and that can't be created or written; creates missing folders."""
    history, schedules = folder / "history", folder / "schedules"
    for each in (folder, history, history / "runs", schedules):
        try:
            each.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return str(error.filename)
        if not os.access(each, os.W_OK | os.X_OK):
            return str(each)
    files = (*history.glob("*.db*"), *history.glob("runs/index.db*"), *schedules.glob("*.db*"))
    return next((str(each) for each in files if not os.access(each, os.W_OK)), None)
