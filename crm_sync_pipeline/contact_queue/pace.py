"""The pace that all runs on one account share: its time is handed out in small slices, in one row of `destinations`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crm_sync_pipeline.contact_queue.statements.columns import seconds
from crm_sync_pipeline.contact_queue.tables import destinations
from crm_sync_pipeline.contact_queue.transactions import PATIENCE_FOR_RESULTS, in_transaction

_SECONDS = seconds(sa.bindparam("seconds", type_=sa.Float))
_CLOCK = sa.func.clock_timestamp()
"""Not now(): whoever waited for the row gets a slice that begins when the wait is over."""

_HANDED_OUT = sa.func.greatest(destinations.c.paced_until, _CLOCK)


class SharedPace:
    """What is left of the time of one account's rate limit. Only differences of PostgreSQL's clock leave it."""

    def __init__(self, engine: sa.Engine, destination: str) -> None:
        self._engine = engine
        first = pg.insert(destinations).values(destination=destination, paced_until=_CLOCK + _SECONDS)
        self._reserve = first.on_conflict_do_update(
            index_elements=["destination"], set_={"paced_until": _HANDED_OUT + _SECONDS}
        ).returning(sa.extract("epoch", destinations.c.paced_until - _SECONDS - _CLOCK))
        self._pause = first.on_conflict_do_update(
            index_elements=["destination"], set_={"paced_until": sa.func.greatest(_HANDED_OUT, _CLOCK + _SECONDS)}
        )

    def reserve(self, slice_seconds: float) -> float:
        """Take the next free slice of the account's time; returns in how many seconds it begins."""
        parameters = {"seconds": slice_seconds}
        begins_in = in_transaction(
            self._engine,
            lambda connection: connection.execute(self._reserve, parameters).scalar_one(),
            PATIENCE_FOR_RESULTS,
        )
        return max(0.0, float(begins_in))

    def pause(self, pause_seconds: float) -> None:
        """Give no slice that begins within so many seconds: the destination has asked for it."""
        parameters = {"seconds": pause_seconds}
        in_transaction(
            self._engine, lambda connection: connection.execute(self._pause, parameters), PATIENCE_FOR_RESULTS
        )
