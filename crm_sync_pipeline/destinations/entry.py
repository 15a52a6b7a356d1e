"""What the registry says of a destination: all that other rooms may know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.settings.base import FromEnvironment

if TYPE_CHECKING:
    from crm_sync_pipeline.destinations.destination import HttpDestination


@dataclass(frozen=True, slots=True)
class Entry:
    """One destination.

    `import_destination` imports its class. `remedies` says what a person does about its own refusals, by their reasons.
    """

    crm: Crm
    settings: type[FromEnvironment]
    import_destination: "Callable[[], type[HttpDestination]]"
    remedies: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in columns, options, jobs and variables."""
        return self.crm.name

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.crm.title

    def destination(self) -> "type[HttpDestination]":
        """The class that delivers to it."""
        return self.import_destination()
