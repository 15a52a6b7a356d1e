"""The process's engine for each database: how it connects, and how its transactions begin."""

from functools import lru_cache
from typing import Any

import psycopg
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.connection import BoundedConnection, connect_args
from crm_sync_pipeline.contact_queue.database.ddl import connect_without_time_outs
from crm_sync_pipeline.contact_queue.database.transactions import READ_FROM
from crm_sync_pipeline.contact_queue.database.url import parsed
from crm_sync_pipeline.settings import DATABASE_URL

AS_READ = "crm_sync_url"
"""The engine's execution option that holds the PostgresUrl, with what an engine's URL leaves out."""


def engine_for(url: str, variable: str = DATABASE_URL) -> sa.Engine:
    """The process's engine for a URL: psycopg 3 whatever driver the URL names, short time-outs, checked connections.

    DatabaseUrlError where the URL can't be one of PostgreSQL's; it names `variable`, which the URL was read from.
    """
    return _engine_for(url, variable)


@lru_cache(maxsize=8)
def _engine_for(url: str, variable: str) -> sa.Engine:
    postgres = parsed(url, variable)
    engine = sa.create_engine(
        postgres.url,
        pool_pre_ping=True,
        hide_parameters=True,  # they are people's data, and an error's text ends in logs
        use_native_hstore=False,  # nothing of ours is one, and each new connection would ask for it
        pool_size=5,
        max_overflow=10,
        connect_args=connect_args(postgres) | {"application_name": "crm_sync_pipeline"},
        execution_options={READ_FROM: variable, AS_READ: postgres},
    )

    @sa.event.listens_for(engine, "do_connect")
    def connect(*arguments: Any) -> BoundedConnection:
        _dialect, _record, words, options = arguments
        return BoundedConnection.connect(*words, **options, autocommit=True).prepared(postgres.search_path)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            ours: Any = connection.connection.driver_connection
            connection.exec_driver_sql(ours.begin)

    return engine


def engine_without_time_outs(engine: sa.Engine) -> sa.Engine:
    """For migrations: an index of a large table may take long, and may have to wait long.

    No statement is prepared: behind a pooler in transaction mode the next one may run on another server connection.
    """
    options = engine.get_execution_options()
    own = {"prepare_threshold": None, "application_name": "crm_sync_pipeline"}
    unlimited = sa.create_engine(
        engine.url,
        poolclass=sa.NullPool,
        hide_parameters=True,
        isolation_level="READ COMMITTED",  # an idle transaction of another level would keep a snapshot
        connect_args=connect_args(options[AS_READ]) | own,
        execution_options={name: options[name] for name in (READ_FROM, AS_READ)},
    )

    @sa.event.listens_for(unlimited, "do_connect")
    def connect(*arguments: Any) -> psycopg.Connection[Any]:
        _dialect, _record, words, options = arguments
        return connect_without_time_outs(words, options)

    return unlimited
