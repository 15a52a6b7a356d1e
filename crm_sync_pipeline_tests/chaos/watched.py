"""What every vendor's simulator is in a trial: one that remembers, beside its own log, whose calls it carried out."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_sync_pipeline.destinations.contract import body_of, payload_hash
from crm_sync_pipeline.simulators.exchange import Request
from crm_sync_pipeline.simulators.simulator import Simulator

CALL_HEADER = "x-chaos-call"


def part_of_request(number: str, email: str) -> str:
    """What the part of one contact is called in a request that carries many, and itself has a number."""
    return f"{number}:{email}"


@dataclass(frozen=True, slots=True)
class Obeyed:
    """What was carried out for one contact, `at` a monotonic time. `call` is "" where the client numbers none.

    `is_duplicate`: the vendor noticed that it had carried out the same before, and left it at that.
    """

    at: float
    call: str
    email: str
    payload_hash: str
    payload: dict[str, Any] = field(repr=False)
    is_duplicate: bool = False


class Watched(Simulator, ABC):
    """`obeyed` grows with every write that was carried out, contact by contact, in the order in which they were.

    A write is noted as the payload by which a single upsert would have brought the vendor's contact to the same values.
    `processes` has the number of the process that each import became, by the number of its call.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.obeyed: list[Obeyed] = []
        self.processes: dict[str, int] = {}
        super().__init__(*arguments, **options)

    @abstractmethod
    def ids(self) -> Mapping[str, str]:
        """Map the address of each contact that the vendor has to the id that a delivery must name."""

    def opt_out(self, addresses: Iterable[str]) -> None:
        """Let people opt out whom the vendor knew before we did; nothing happens where there is no such thing."""

    def opted_out(self) -> frozenset[str]:
        """List the addresses that must not be written to."""
        return frozenset()

    def catch_up(self) -> None:
        """Note what was carried out since the last request."""

    def calm(self) -> None:
        """End every fault, and answer as the vendor usually does."""
        self.heal()

    def _note(self, call: str, email: str, payload: dict[str, Any], *, is_duplicate: bool = False) -> None:
        its_hash = payload_hash(body_of(payload))
        self.obeyed.append(Obeyed(time.monotonic(), call, email, its_hash, payload, is_duplicate))


def call_of(request: Request) -> str:
    """Read the number that a worker gave to its request; "" where it gave none."""
    return request.header(CALL_HEADER.encode()) or ""
