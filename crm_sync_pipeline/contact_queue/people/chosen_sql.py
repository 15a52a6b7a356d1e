"""The contacts that a person means: the whole table in chunks, or those of an id or an address."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.addresses import may_be_address
from crm_sync_pipeline.contact_queue.database.columns import (
    IDS,
    SIZE,
    UUID_TYPE,
    DestinationColumns,
    built_once,
    plain_text,
)

_FIRST = sa.bindparam("first", type_=UUID_TYPE)


@built_once
def end_of_chunk(columns: DestinationColumns) -> sa.Select[Any]:
    """The id behind the :size contacts that begin with the id :first; none where the table ends before that."""
    return sa.select(columns.id).where(columns.id >= _FIRST).order_by(columns.id).offset(SIZE).limit(1)


def chunk(
    columns: DestinationColumns, meant: Mapping[str, sa.ColumnElement[bool]], *, is_last: bool, locks: bool = True
) -> sa.Executable:
    """Those from the id :first on, and before :behind, for whom anything of `meant` holds, in id order.

    And what of it holds, where there is more than one. With `locks` they are locked.
    """
    found = _meant(columns, meant).where(columns.id >= _FIRST).limit(SIZE)
    if not is_last:
        found = found.where(columns.id < sa.bindparam("behind", type_=UUID_TYPE))
    return found.with_for_update(key_share=True, of=columns.table) if locks else found


def named(
    columns: DestinationColumns, meant: Mapping[str, sa.ColumnElement[bool]], *, locks: bool = True
) -> sa.Executable:
    """Those of the contacts :ids that match what is `meant`, locked where it `locks`."""
    found = _meant(columns, meant).where(columns.id == sa.any_(IDS))
    return found.with_for_update(key_share=True, of=columns.table) if locks else found


def _meant(columns: DestinationColumns, meant: Mapping[str, sa.ColumnElement[bool]]) -> sa.Select[Any]:
    found: list[sa.ColumnElement[Any]] = [columns.id.label("id")]
    if len(meant) > 1:
        found += [sa.func.coalesce(each, sa.false()).label(name) for name, each in meant.items()]
    return sa.select(*found).where(sa.or_(*meant.values())).order_by(columns.id)


@built_once
def known(columns: DestinationColumns) -> sa.Executable:
    """Those of :ids that there are."""
    return sa.select(columns.id.label("id")).where(columns.id == sa.any_(IDS)).order_by(columns.id)


@built_once
def lock_known(columns: DestinationColumns) -> sa.Executable:
    """Those of :ids that there are, locked in id order, so that two selections cannot deadlock."""
    return (
        sa.select(columns.id.label("id"))
        .where(columns.id == sa.any_(IDS))
        .order_by(columns.id)
        .with_for_update(key_share=True)
    )


@built_once
def by_address(columns: DestinationColumns) -> sa.Executable:
    """The contacts that may have the address with this :key and :start (see `may_be_address`), in id order."""
    email = plain_text(columns.table.c.email)
    return sa.select(columns.id.label("id"), email.label("email")).where(may_be_address(email)).order_by(columns.id)
