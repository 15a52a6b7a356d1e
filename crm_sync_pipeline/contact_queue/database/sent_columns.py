"""The columns that are sent where the user's table has them: which are missing, and which of theirs look alike."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from crm_sync_pipeline.contact_queue.database.contacts_table import Column, ContactsTable, quoted
from crm_sync_pipeline.contact_queue.database.finding import Finding
from crm_sync_pipeline.domain.contact import SENT_FIELDS
from crm_sync_pipeline.domain.crm import Crm

OPTIONAL = ("name", "phone_number", "domain_id", "page_id", "email_type", "source_url", "has_gmail")
"""The columns that a contacts table may lack."""

YES = ("true", "t", "yes", "y", "on", "1", "ja", "j", "oui", "si", "sim", "tak", "wahr", "vrai")
NO = ("false", "f", "no", "n", "off", "0", "nein", "nee", "nej", "nei", "non", "nie", "falsch", "faux")
"""The words that a has_gmail of another type than boolean is read by. In ASCII alone, which every encoding has."""

REWRITES = "It rewrites the table under a lock; on a large table, choose a quiet hour"
"""What a person must know before they add a generated column."""

_WHOSE = "(contact|person|customer|client|lead|recipient)?"
_WHERE = "(contact|work|business|company|office|private|home|primary|main|direct)?"
_NUMBER = "(number|num|no|nr|nummer|1)?"

# As patterns for a name without its accents, case and underscores; the best match first.
_SIMILAR: Mapping[str, tuple[str, ...]] = {
    "email": (f"{_WHERE}e?mail(address|addr|adresse|1)?", "(correo|courriel)(electronico)?"),
    "name": (
        "(full|complete)name",
        "(contact|person|customer|client|lead|recipient|display|real)name",
        "nomcomplet|nombrecompleto|nomecompleto|vollername|volledigenaam",
    ),
    "phone_number": (
        f"{_WHERE}(mobile|mobil|cell|handy)(tele)?(phone|fon)?{_NUMBER}|movil|portable|gsm|msisdn|sms",
        f"{_WHERE}(tele)?phone(mobile|cell|work|home)?{_NUMBER}",
        f"{_WHERE}tel(efon|efono|efone|efoon)?{_NUMBER}|rufnummer",
    ),
    "domain_id": ("(company|email|mail|web|website)?domain(name)?", "(company)?(website|site|host|hostname)"),
    "page_id": ("page|webpage|landingpage|(landing|web)pageid",),
    "email_type": ("(e?mail|address)(kind|category|class|type)",),
    "source_url": (
        "source(link|page|uri)?|(page|origin|found|foundat|web|website)(url|link)",
        "url|link|website|referrer|referer",
    ),
    "has_gmail": ("(is|uses|on|with)?(gmail|googlemail)(address|account|user)?",),
}
_FIRST_NAME = re.compile(f"{_WHOSE}(first|given|f|fore)name|first|prenom|vorname|nombre|nome|voornaam")
_LAST_NAME = re.compile(
    f"{_WHOSE}(last|family|l|sur)name|last|nom|nomdefamille|nachname|familienname|apellidos?|cognome|sobrenome|achternaam"
)
_TEXT = re.compile(r"(text|character varying|character|(.+\.)?citext)(\(\d+\))?")
_NUMBERS = re.compile(r"uuid|smallint|integer|bigint|numeric(\(\d+(,0)?\))?")


@dataclass(frozen=True, slots=True)
class MissingColumn:
    """A column that would be sent. `similar` are the user's that may hold the same; `remedy` copies the first of them.

    `remedy` is empty where nothing looks alike, or where a generated column could not read it.
    """

    name: str
    similar: tuple[str, ...] = ()
    remedy: str = ""

    def finding(self, contacts: ContactsTable, crms: Iterable[Crm]) -> Finding:
        """The line of `crm-sync db check`."""
        lacks = [
            f"{crm.title} gets no {' and no '.join(fields)}" for crm in crms if (fields := crm.carries.get(self.name))
        ]
        what = ", ".join(lacks) or "it is not sent"
        detail = f"{contacts.qualified} has no such column, and {what}; contacts are delivered without"
        if self.similar:
            detail += f". Similar: {', '.join(self.similar)}"
        if self.remedy:
            detail += f". If that holds the same, a generated column sends it. {REWRITES}"
        return Finding(f"Column {self.name}", None, detail, self.remedy, optional=True)


def missing_columns(contacts: ContactsTable) -> list[MissingColumn]:
    """Those of the optional columns that the contacts table does not have."""
    return [_missing(contacts, name) for name in OPTIONAL if name not in contacts.columns]


def is_read_in_words(contacts: ContactsTable) -> bool:
    """Whether has_gmail is there and not boolean."""
    column = contacts.columns.get("has_gmail")
    return column is not None and column.type != "boolean"


def copying(contacts: ContactsTable, name: str) -> str:
    """The statement that adds the column as a copy of the one most like it; empty where none looks alike."""
    return _missing(contacts, name).remedy


def findings_of(contacts: ContactsTable, crms: Collection[Crm]) -> Iterator[Finding]:
    """What `crm-sync db check` says of the optional columns, for a table that serves these CRMs."""
    for missing in missing_columns(contacts):
        yield missing.finding(contacts, crms)
    if is_read_in_words(contacts):
        detail = (
            f"{contacts.columns['has_gmail'].described}, not boolean: {', '.join(YES)} are read as true, "
            f"{', '.join(NO)} as false, in capitals too; anything else is not sent"
        )
        yield Finding("Column has_gmail", True, detail)


def _missing(contacts: ContactsTable, name: str) -> MissingColumn:
    others = [column for column in contacts.columns.values() if column.name not in SENT_FIELDS]
    similar = _similar(name, others)
    if similar:
        (best, *_) = similar
        statement = _add(contacts, name, best.domain or best.type, _expression(best))
        return MissingColumn(name, tuple(column.name for column in similar), statement)
    return _from_two_names(contacts, others) if name == "name" else MissingColumn(name)


def _similar(name: str, others: Iterable[Column]) -> list[Column]:
    fitting = [column for column in others if _can_hold(name, column)]
    found = [column for column in fitting if _bare(column.name) == _bare(name)]  # such as phoneNumber
    for pattern in _SIMILAR[name]:
        found += [column for column in fitting if re.fullmatch(pattern, _bare(column.name)) and column not in found]
    return found


def _can_hold(name: str, column: Column) -> bool:
    """Whether a column of that type can hold such a value: phone_verified may be a boolean, phone_checked a time."""
    if _TEXT.fullmatch(column.type):
        return True
    if name == "has_gmail":
        return column.type in ("boolean", "smallint", "integer")
    if name == "email_type":
        return column.labels is not None
    return name in ("phone_number", "domain_id", "page_id") and _NUMBERS.fullmatch(column.type) is not None


def _from_two_names(contacts: ContactsTable, others: Iterable[Column]) -> MissingColumn:
    """Where first and last name stand in columns of their own.

    Without a first name the copy is NULL: what stands first in `name` is sent as FIRSTNAME.
    """
    texts = [column for column in others if _TEXT.fullmatch(column.type)]
    first = next((column for column in texts if _FIRST_NAME.fullmatch(_bare(column.name))), None)
    last = next((column for column in texts if _LAST_NAME.fullmatch(_bare(column.name))), None)
    similar = tuple(column.name for column in (first, last) if column)
    if first is None:
        return MissingColumn("name", similar)
    # not concat(), which PostgreSQL refuses in a generated column; not ' ', where a terminal might break the line
    written = _not_blank(first)
    if last is not None:
        written += f" || coalesce(chr(32) || {_not_blank(last)}, '')"
    return MissingColumn("name", similar, _add(contacts, "name", "text", written))


def _not_blank(column: Column) -> str:
    """Its text without blanks around it, NULL where nothing is left."""
    return f"nullif(btrim(({_expression(column)})::text), '')"


def _expression(column: Column) -> str:
    """What a generated column reads to have its value: PostgreSQL lets none read another generated column."""
    return column.generated or quoted(column.name)


def _add(contacts: ContactsTable, name: str, kind: str, expression: str) -> str:
    return f"ALTER TABLE {contacts.qualified} ADD COLUMN {name} {kind} GENERATED ALWAYS AS ({expression}) STORED;"


def _bare(name: str) -> str:
    """The name in lower case, without accents and without what separates words."""
    return re.sub("[^a-z0-9]", "", unicodedata.normalize("NFKD", name).lower())
