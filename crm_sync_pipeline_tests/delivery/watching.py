"""What tests of a run look at: how many requests are inside the server, what each write to the journal held."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from starlette.types import ASGIApp, Receive, Scope, Send

from crm_sync_pipeline.contact_queue.queue import ContactQueue
from crm_sync_pipeline.domain.batch import Attempt, LeaseStatus
from crm_sync_pipeline_tests.builders import World


@dataclass
class Crowd:
    """An app, watched: how many requests were inside it at the same time, at most."""

    app: ASGIApp
    inside: int = 0
    most: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1


@dataclass
class Watched:
    """A queue's journal, watched: how many attempts each write held. `before` runs first, in the writer's thread."""

    queue: ContactQueue
    before: Callable[[int], None] = lambda _: None
    sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        original = self.queue.journal

        def journal(
            token: UUID, done: Sequence[Attempt], run_id: str | None = None, *, look: bool = True
        ) -> LeaseStatus:
            if done:
                self.sizes.append(len(done))
                self.before(len(self.sizes))
            return original(token, done, run_id, look=look)

        self.queue.journal = journal  # type: ignore[method-assign, assignment] # what a test does


def journaled(world: World) -> int:
    count: int = world.value("SELECT count(*) FROM crm_sync.attempts")
    return count


def states(world: World) -> dict[tuple[str, str, int], int]:
    rows = world.rows(
        "SELECT brevo_sync_status AS sync, brevo_processing_status AS state, retry_count, count(*) AS total "
        "FROM contacts GROUP BY 1, 2, 3"
    )
    return {(row["sync"], row["state"], row["retry_count"]): row["total"] for row in rows}
