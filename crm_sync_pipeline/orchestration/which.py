"""Which contacts a job is for: the form of the launchpad, and what it means."""

from collections.abc import Collection, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, cast

import dagster as dg
from pydantic import Field, create_model

from crm_sync_pipeline.contact_queue.people.selection import SelectionError, Which, parse_ids
from crm_sync_pipeline.domain.contact_filter import OWN, ContactFilter, ids_in, parse_moment
from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus

LARGEST_FILE_BYTES = 100_000_000


Form = TypeVar("Form", bound=dg.Config)


def names_of(crms: Sequence[str]) -> type[Enum]:
    """The names of these CRMs for forms: the launchpad knows them, and refuses others."""
    enum: Any = Enum  # mypy wants the members of an enum written out
    name = "_".join(("CrmName", *crms))  # Dagster takes two enums of one name for the same
    return cast("type[Enum]", enum(name, [(crm, crm) for crm in crms], type=str))


def name_of(crm: str) -> str:
    """The name that a form holds, as a word."""
    return str(crm.value) if isinstance(crm, Enum) else crm


def form_for(form: type[Form], **fields: tuple[Any, Any]) -> type[Form]:
    """The form with these fields of a type that is known at run time alone."""
    return create_model(form.__name__, __base__=form, __doc__=form.__doc__, **fields)  # type: ignore[call-overload,no-any-return] # built from words


class WhichConfig(dg.Config):
    """Which contacts. Give ids, a file or csv_text; or a filter, all of which must be true; or everything.

    What the launchpad can't refuse by itself, the run refuses before anything is touched. Dagster keeps a run's config:
    prefer ids to parts of addresses and names.
    """

    dry_run: bool = Field(default=True, description="Only say how many it would be, with ten ids. Nothing is changed.")
    crms: list[str] = Field(default=[], description="For which CRMs.")
    ids: list[str] = Field(default=[], description="Contact ids.")
    csv_text: str = Field(default="", description="Contact ids, one a line, or CSV whose first column they are.")
    file: str = Field(default="", description="Path of such a file, as the code location sees it.")
    statuses: list[SyncStatus] = Field(default=[], description="Sync status for the CRM; any of these.")
    statuses_elsewhere: dict[str, list[SyncStatus]] = Field(
        default={}, description="Sync status for other CRMs, such as {name: [Complete]}; any of these."
    )
    states: list[ProcessingStatus] = Field(default=[], description="Processing status for the CRM; any of these.")
    reasons: list[str] = Field(default=[], description="Why it failed last, such as http_503; any of these.")
    failed_since: str = Field(
        default="", description="Failed last since then: '2026-03-01 14:00' (UTC), or an age: 90min, 2h, 3d."
    )
    failed_until: str = Field(default="", description="Failed last until then.")
    email_type: str = Field(default="", description="E-mail type, such as CORPORATE.")
    domain_id: str = Field(default="", description="The id of the domain.")
    page_id: str = Field(default="", description="The id of the page.")
    has_gmail: bool | None = Field(default=None, description="true: has Gmail; false: has not; left out: either.")
    email_contains: str = Field(default="", description="Part of the e-mail address, literally, whatever the case.")
    name_contains: str = Field(default="", description="Part of the name, literally, whatever the case.")
    everything: bool = Field(default=False, description="Needed where the filter leaves nobody out.")

    @property
    def crm_names(self) -> list[str]:
        """The CRMs, as words."""
        return [name_of(crm) for crm in self.crms]

    def which(self, known_crms: Collection[str]) -> Which:
        """The contacts meant. SelectionError for what can't be right; it repeats no address."""
        wanted = self._filter(known_crms)
        if not (self.ids or self.csv_text.strip() or self.file.strip()):
            return Which(None, wanted)
        return Which(parse_ids([*self.ids, *ids_in(self.csv_text), *self._in_file()]), wanted)

    def _filter(self, known_crms: Collection[str]) -> ContactFilter:
        if any(crm not in known_crms for crm in self.statuses_elsewhere):
            raise SelectionError(f"statuses_elsewhere must be of {', '.join(known_crms)}. Nothing was changed.")
        elsewhere = {crm: _statuses(wanted) for crm, wanted in self.statuses_elsewhere.items() if wanted}
        try:
            return ContactFilter(
                statuses={**({OWN: _statuses(self.statuses)} if self.statuses else {}), **elsewhere},
                states=tuple(ProcessingStatus(state) for state in self.states),
                reasons=tuple(self.reasons),
                failed_since=parse_moment(self.failed_since),
                failed_until=parse_moment(self.failed_until),
                email_type=self.email_type.strip() or None,
                domain_id=self.domain_id.strip() or None,
                page_id=self.page_id.strip() or None,
                has_gmail=self.has_gmail,
                email_contains=self.email_contains.strip(),
                name_contains=self.name_contains.strip(),
            )
        except ValueError as error:
            raise SelectionError(str(error)) from None

    def _in_file(self) -> list[str]:
        if not self.file.strip():
            return []
        try:
            path = Path(self.file.strip())
            if path.stat().st_size > LARGEST_FILE_BYTES:
                raise SelectionError("The file is larger than 100 MB. Nothing was changed. Give it in parts.")
            return ids_in(path.read_text("utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise SelectionError(
                f"The file can't be read where the code location runs: {why}. Nothing was changed. "
                "Check the path, or put the ids into csv_text."
            ) from None


def _statuses(wanted: list[SyncStatus]) -> tuple[SyncStatus, ...]:
    return tuple(SyncStatus(status) for status in wanted)
