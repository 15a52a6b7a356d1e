"""One dagster.yaml for a laptop and for production: SQLite under a folder, or PostgreSQL where a variable names one.

Dagster has no syntax for "this variable, or else that default", so the storage class decides.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from psycopg2 import ProgrammingError  # type: ignore[import-untyped] # it brings no types
from psycopg2.extensions import parse_dsn  # type: ignore[import-untyped]

from crm_sync_pipeline.contact_queue.connection import connect_limits
from crm_sync_pipeline.contact_queue.url import parsed
from crm_sync_pipeline.contact_queue.url_options import LIBPQ


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
        """`postgres_url_env` names the variable; `sqlite_dir` is relative to the working folder."""
        return {"postgres_url_env": str, "sqlite_dir": str}

    @classmethod
    def from_config_value(  # type: ignore[override] # it returns one of Dagster's own, never an instance of itself
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterPostgresStorage | DagsterSqliteStorage:
        """PostgreSQL, by psycopg2 whatever driver the URL names: on psycopg 3 Dagster's storage fails late.

        Its connections give up a server that vanished, as ours do: a daemon that waits for ever starts nothing.
        """
        variable = config_value["postgres_url_env"]
        text = os.environ.get(variable, "")
        if text.strip():
            url = parsed(text, variable, known=_known_to_psycopg2()).for_psycopg2()
            limits = {name: str(value) for name, value in connect_limits(url).items()}
            return DagsterPostgresStorage(
                url.update_query_dict(limits).render_as_string(hide_password=False), inst_data=inst_data
            )
        folder = Path(config_value["sqlite_dir"]).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return DagsterSqliteStorage(str(folder), inst_data=inst_data)
