"""A restart of n8n, as its callers see it."""

from dataclasses import dataclass
from enum import Enum

from crm_sync_pipeline.simulators.limiter import Clock
from crm_sync_pipeline.simulators.n8n.config import N8nConfig


class Phase(Enum):
    """How far n8n is: it listens, then it has its database, then it listens to webhooks, then it has its workflows'.

    Measured on n8n 2.8.4, as the lengths in `N8nConfig`: connections refused, a moment of a 200 that means nothing
    (longer where the database is migrated), a page of HTML with a 404, a 404 as of a workflow that is not active, and
    then all is as before.
    """

    REFUSING = "refusing connections"
    STARTING = "starting up"
    WITHOUT_ROUTES = "without webhooks"
    UNREGISTERED = "without those of its workflows"
    UP = "up"


@dataclass
class Start:
    """When n8n was started last, in seconds of `clock`; None: long ago."""

    config: N8nConfig
    clock: Clock
    at: float | None = None

    def again(self) -> None:
        """Restart now."""
        self.at = self.clock()

    @property
    def phase(self) -> Phase:
        """How far it is now."""
        if self.at is None:
            return Phase.UP
        left = self.clock() - self.at
        for phase, seconds in (
            (Phase.REFUSING, self.config.refusing_seconds),
            (Phase.STARTING, self.config.starting_seconds),
            (Phase.WITHOUT_ROUTES, self.config.without_routes_seconds),
            (Phase.UNREGISTERED, self.config.unregistered_seconds),
        ):
            if left < seconds - 1e-9:  # whoever waits exactly as long is through, however binary fractions are rounded
                return phase
            left -= seconds
        return Phase.UP
