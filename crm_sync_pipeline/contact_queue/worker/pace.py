"""The pace that all runs on one account share: its time is handed out in small slices, in one row of `destinations`."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.database.columns import built_once, seconds
from crm_sync_pipeline.contact_queue.database.tables import destinations
from crm_sync_pipeline.contact_queue.database.transactions import PATIENCE_FOR_RESULTS, in_transaction

_SECONDS = seconds(sa.bindparam("seconds", type_=sa.Float))
_CLOCK = sa.func.clock_timestamp()
"""Not now(): whoever waited for the row gets a slice that begins when the wait is over."""

_HANDED_OUT = sa.func.greatest(destinations.c.paced_until, _CLOCK)


def _first(destination: str) -> pg.Insert:
    return pg.insert(destinations).values(destination=destination, paced_until=_CLOCK + _SECONDS)


@built_once
def reserve_slice(destination: str) -> sa.Executable:
    """Take the next :seconds of the account's time; returns in how many seconds they begin."""
    handed_out = {"paced_until": _HANDED_OUT + _SECONDS}
    begins_in: sa.ColumnElement[Any] = sa.extract("epoch", destinations.c.paced_until - _SECONDS - _CLOCK)
    return (
        _first(destination).on_conflict_do_update(index_elements=["destination"], set_=handed_out).returning(begins_in)
    )


@built_once
def pause_all(destination: str) -> sa.Insert:
    """Hand out none of the account's time for the next :seconds."""
    later = {"paced_until": sa.func.greatest(_HANDED_OUT, _CLOCK + _SECONDS)}
    return _first(destination).on_conflict_do_update(index_elements=["destination"], set_=later)


class SharedPace:
    """What is left of the time of one account's rate limit. Only differences of PostgreSQL's clock leave it."""

    def __init__(self, engine: sa.Engine, destination: str) -> None:
        self._engine = engine
        self._destination = destination

    def reserve(self, slice_seconds: float) -> float:
        """Take the next free slice of the account's time; returns in how many seconds it begins."""
        parameters = {"seconds": slice_seconds}
        begins_in = in_transaction(
            self._engine,
            lambda connection: connection.execute(reserve_slice(self._destination), parameters).scalar_one(),
            PATIENCE_FOR_RESULTS,
        )
        return max(0.0, float(begins_in))

    def pause(self, pause_seconds: float) -> None:
        """Give no slice that begins within so many seconds: the destination has asked for it."""
        parameters = {"seconds": pause_seconds}
        in_transaction(
            self._engine,
            lambda connection: connection.execute(pause_all(self._destination), parameters),
            PATIENCE_FOR_RESULTS,
        )
