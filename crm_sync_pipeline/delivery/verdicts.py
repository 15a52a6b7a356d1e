"""What the answers of one run say: of each contact, and of the destination, for which the breaker keeps it."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from crm_sync_pipeline.contact_queue.worker.breaker import BreakerRecord
from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.blame import Blame
from crm_sync_pipeline.domain.health import FAILURES_UNTIL_OPEN, Breaker, Down
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed, Outcome
from crm_sync_pipeline.domain.sentences import sentences


class Verdicts:
    """Passes attempts on to `note` as soon as it is known whose fault they are, and opens or closes the breaker."""

    def __init__(self, record: BreakerRecord, note: Callable[[Attempt], None]) -> None:
        self._record = record
        self._note = note
        self._breaker = Breaker()
        self._blame = Blame()
        self._is_probe = False
        self._down: Down | None = None

    async def begin(self) -> None:
        """Look whether the destination is down: then this run is a probe, and one more failure keeps it down."""
        if down := await asyncio.to_thread(self._record.state):
            self._is_probe, self._down = True, down
            self._blame = Blame(down.reason)
            self._breaker = Breaker(FAILURES_UNTIL_OPEN - 1)

    @property
    def is_open(self) -> bool:
        """Whether nothing more should be sent."""
        return self._breaker.is_open

    def observe(self, outcome: Outcome, contacts: int = 1) -> None:
        """Take note of the answer to a request, also of one that is not its contacts' last one in this run."""
        if not (isinstance(outcome, DestinationDown) and outcome.answer):  # of these, `take` decides
            self._breaker.observe(outcome, contacts)

    def observe_shared(self, outcome: Outcome) -> None:
        """Take note of an answer that is about many contacts: what it refuses is not one contact's."""
        self._breaker.observe(outcome)

    def has_answered(self) -> None:
        """The destination did what it was asked: where this run is a probe, the breaker closes."""
        self._blame.has_answered = True

    async def take(self, attempt: Attempt) -> None:
        """Pass an attempt on, or hold it back. What a run holds back when it dies is sent again, which does no harm."""
        if isinstance(attempt.outcome, Failed) and attempt.outcome.down_after is not None:
            attempt = await self._down_by_now(attempt, attempt.outcome, attempt.outcome.down_after)
        self._pass_on(self._blame.take(attempt))
        while self._blame.is_full:
            earlier = await asyncio.to_thread(self._record.earlier, self._blame.suspects)
            self._pass_on(self._blame.decide(earlier))

    def to_try_again(self) -> Iterator[UUID]:
        """One by one, for after all others, the contacts whose set-up status was their own."""
        while (contact_id := self._blame.next_again()) is not None:
            yield contact_id

    async def end(self, *, was_stopped: bool) -> None:
        """Pass on what is still held back.

        A run that was stopped, or found the destination down for another reason, does not know: settling gives it back.
        """
        if self._blame.suspects and not was_stopped and not self.is_open:
            earlier = await asyncio.to_thread(self._record.earlier, self._blame.suspects)
            self._pass_on(self._blame.end(earlier))

    def remember(self) -> str | None:
        """Write down how the destination was found; the sentence of one that is down."""
        self._breaker.end()
        if opened_by := self._breaker.opened_by:
            said = sentences(opened_by.message)
            wait = opened_by.wait if isinstance(opened_by, DestinationDown) else timedelta(0)
            self._record.open(opened_by.reason, said, after_probe=self._is_probe, wait=wait)
            return said
        if self._is_probe and self._blame.has_answered:
            self._record.close()
        return None

    async def _down_by_now(self, attempt: Attempt, failed: Failed, down_after: timedelta) -> Attempt:
        """The attempt as it is; as a refusal of our set-up where this answer has lasted for `down_after`."""
        lasted = self._down.lasted if self._down and self._down.reason == failed.reason else timedelta(0)
        if lasted < down_after:
            lasted = await asyncio.to_thread(self._record.failing_for, attempt.contact_id, failed.reason)
        if lasted < down_after:
            return attempt
        down = DestinationDown(failed.reason, failed.message)
        self._breaker.observe(down)
        return replace(attempt, outcome=down)

    def _pass_on(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            self._note(attempt)
        if self._blame.opened_by:
            self._breaker.observe(self._blame.opened_by)
