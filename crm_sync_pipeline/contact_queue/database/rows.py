from datetime import datetime
from operator import attrgetter
from typing import Any

from crm_sync_pipeline.domain.address import normal_form
from crm_sync_pipeline.domain.contact import SENT_FIELDS, Contact
from crm_sync_pipeline.domain.delivered import MARK, Delivered, fields_of

_sent_fields = attrgetter(*SENT_FIELDS)


def contact_of(row: Any, selected_at: datetime | None = None) -> Contact:
    """The contact in a row that was read with DestinationColumns.sent_fields(), selected at that time."""
    email, *others = _sent_fields(row)
    values: tuple[Any, ...] = (row.id, email or "", *others, str(selected_at.timestamp()) if selected_at else "")
    return Contact(*values)


def delivered_of(row: Any) -> Delivered:
    """What is known of the destination's copy, in a row that was read with `known_of_copy`."""
    names = fields_of(row.remote_fields)
    marks = frozenset(name for name in names if name.startswith(MARK))
    return Delivered(normal_form(row.delivered_to or ""), row.remote_id, names - marks, row.delivered_last, marks=marks)
