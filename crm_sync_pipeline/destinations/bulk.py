"""What a destination can do that takes many contacts in one request, and carries them out on its own time."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

import httpx

from crm_sync_pipeline.domain.outcome import Deferred, Failed, Outcome, Rejected


class Stage(Enum):
    """Where a process stands that has come to nothing yet."""

    UNDER_WAY = "in progress"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that is over. `refusals` tells, for each file of refused rows, why its rows were refused."""

    refusals: Mapping[str, Rejected] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Broken:
    """A process that is over, and of whose contacts nothing good can be said."""

    outcome: Failed


class BulkImport(ABC):
    """One vendor's import. What could not be asked comes back as what the answer would mean for a contact.

    A process is one import in progress at the vendor; later ones have higher numbers.
    """

    most_bytes: ClassVar[int]
    """How long a body may be."""

    @abstractmethod
    def row(self, payload: Mapping[str, Any]) -> bytes:
        """A contact as it stands in a body, of what a single call would send."""

    def hash_of(self, payload: Mapping[str, Any], single: str) -> str:  # noqa: ARG002 # for subclasses
        """What the journal keeps of a contact that was sent so; `single` is what a single call's payload has.

        Another hash, where the vendor may not have taken all of it: the contact never counts as unchanged then.
        """
        return single

    @abstractmethod
    def body(self, rows: Sequence[bytes]) -> bytes:
        """A whole request: these rows, and at most a kilobyte more."""

    @abstractmethod
    async def newest(self, client: httpx.AsyncClient) -> int | Outcome:
        """The vendor's newest process; 0 where there is none."""

    @abstractmethod
    async def post(self, client: httpx.AsyncClient, body: bytes) -> int | Outcome:
        """Start an import; its process."""

    @abstractmethod
    async def find(self, client: httpx.AsyncClient, after: int) -> Sequence[int] | Outcome:
        """The imports that came after process `after`, whoever asked for them."""

    @abstractmethod
    async def look(self, client: httpx.AsyncClient, process_id: int) -> Stage | Finished | Broken | Outcome:
        """How far a process has got."""

    @abstractmethod
    async def refused(self, finished: Finished) -> Mapping[str, Rejected | Deferred] | Failed:
        """Each refused address, and why; `Failed` where a file of refused rows can't be read.

        Deferred: the contact is not journaled, and goes by a single call of the same run.
        """
