"""Which rows may have an e-mail address: what SQL can tell. What is true of them, `normal_form` tells."""

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.contacts_table import literal
from crm_sync_pipeline.domain.address import normal_form, search_key

_KEY = sa.bindparam("key", type_=sa.Text)
_START = sa.bindparam("start", type_=sa.Text)


def key_of(email: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """`search_key` of an address as it stands in a row.

    In the collation "C", whatever the database's is: in Turkish, a capital I becomes another letter than i.
    """
    visible = sa.func.regexp_replace(email, literal("[^!-~]+"), literal(""), literal("g"))
    return sa.func.lower(sa.collate(visible, "C"))


def may_be_address(email: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether a row may have the address of `parameters_for`: all that have it are found, and some that have not.

    PostgreSQL knows nothing of international domains. So a row that holds anything but visible ASCII characters is
    found by the part before the @.
    """
    key = key_of(email)
    is_odd = email.regexp_match(literal("[^!-~]"))
    return sa.or_(key == _KEY, sa.and_(is_odd, sa.func.starts_with(key, _START)))


def parameters_for(address: str) -> dict[str, str]:
    """:key and :start of `may_be_address`, for an address in any form."""
    key = search_key(normal_form(address))
    local, sign, _ = key.rpartition("@")
    return {"key": key, "start": f"{local}{sign}" or key}
