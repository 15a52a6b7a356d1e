"""The record of acts: who did what, when, and to how many."""

from typing import Any

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.tables import acts


def begin(values: dict[str, Any]) -> sa.Executable:
    """Write an act down; returns its id."""
    return sa.insert(acts).values(**values).returning(acts.c.id)


def add(act_id: int, contacts: int) -> sa.Update:
    """So many more contacts were changed by the act."""
    return sa.update(acts).values(contacts=acts.c.contacts + contacts).where(acts.c.id == act_id)


def newest(limit: int) -> sa.Executable:
    """The newest acts, the newest first."""
    return sa.select(acts).order_by(acts.c.id.desc()).limit(limit)
