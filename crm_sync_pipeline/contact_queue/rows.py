from operator import attrgetter
from typing import Any

from crm_sync_pipeline.domain.contact import SENT_FIELDS, Contact

_sent_fields = attrgetter(*SENT_FIELDS)


def contact_of(row: Any) -> Contact:
    """The contact in a row that was read with DestinationColumns.sent_fields()."""
    email, *others = _sent_fields(row)
    return Contact(row.id, email or "", *others)
