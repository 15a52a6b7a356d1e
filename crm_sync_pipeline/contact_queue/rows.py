from typing import Any

from crm_sync_pipeline.domain.contact import SENT_FIELDS, Contact


def contact_of(row: Any) -> Contact:
    """The contact in a row that was read with DestinationColumns.sent_fields()."""
    values = {name: getattr(row, name) for name in SENT_FIELDS}
    return Contact(id=row.id, **values | {"email": row.email or ""})
