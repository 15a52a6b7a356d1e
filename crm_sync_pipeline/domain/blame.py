"""Whose fault an answer is that one contact or the whole set-up may have caused: what other contacts get decides."""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.health import FAILURES_UNTIL_OPEN
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Rejected, Synced
from crm_sync_pipeline.domain.sentences import sentences

REFUSALS_UNTIL_OPEN = 10

_WHY_IT_IS_ITS_OWN = (
    "Other contacts got through, and this one got the same answer again, so its own data is refused, perhaps by a "
    "firewall on the way. Correct the contact, or let the firewall accept it, then select it again"
)
_WHY_NOBODY_IS_BLAMED = (
    f"{REFUSALS_UNTIL_OPEN} contacts in a row were refused with these words, so none of them is blamed, and nothing "
    "more is sent. Fix what these words name, such as a limit or an attribute of the account"
)
_WHY_IT_STAYS_DOWN = (
    "The contact that was sent to find out was refused for the same reason, and is not blamed. Fix what these words "
    "name, such as a limit or an attribute of the account"
)

_QUOTED = re.compile(r""""[^"]*"|(?<!\w)'[^']*'(?!\w)|`[^`]*`""")
_COUNTED = re.compile(r"\S*[\d@*]\S*")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the journal says of the last attempt at a contact, where that was a refusal.

    `was_rejected`: the contact was blamed for it, not given back. `others_since`: another one has got through since.
    """

    reason: str
    was_rejected: bool
    others_since: bool


@dataclass(slots=True)
class Blame:
    """Holds doubtful attempts back until it is known whose fault they are; what it returns is to be journaled.

    Doubtful are a set-up status that one contact may have caused (`DestinationDown.answer`), and a refusal that may be
    about the account (`Rejected.may_be_ours`). When another contact gets through, a refusal was the contact's own, and
    a set-up status is tried a second time after all others: the contact is Rejected if it gets one again. Five set-up
    statuses in a row, or ten refusals with the same words, are everybody's: `opened_by`, and nobody pays.

    `down_for` is the reason for which the destination is down, where this run is a probe.
    """

    down_for: str | None = None
    opened_by: DestinationDown | None = None
    has_answered: bool = False
    _set_up: dict[UUID, Attempt] = field(default_factory=dict)
    _alike: dict[UUID, Attempt] = field(default_factory=dict)
    _words: tuple[str, str] = ("", "")
    _again: deque[UUID] = field(default_factory=deque)
    _second: set[UUID] = field(default_factory=set)

    def take(self, attempt: Attempt) -> list[Attempt]:
        """Those whose fault is known by now: this attempt, earlier ones, all of them or none."""
        outcome = attempt.outcome
        if isinstance(outcome, DestinationDown) and outcome.answer:
            return self._take_set_up(attempt)
        if isinstance(outcome, Rejected) and outcome.may_be_ours:
            return self._take_refusal(attempt)
        if isinstance(outcome, (Synced, Rejected)):
            self.has_answered = True
            self._again.extend(self._set_up)
            self._set_up.clear()
            return [*self._pop_refusals(), attempt]
        return [attempt]

    def next_again(self) -> UUID | None:
        """The next contact to be tried a second time, once all others were; None where there is none."""
        if not self._again or self.opened_by:
            return None
        contact_id = self._again.popleft()
        self._second.add(contact_id)
        return contact_id

    @property
    def is_full(self) -> bool:
        """Whether so many are under suspicion that `decide` must tell now."""
        return not self.opened_by and (self._many_set_up or self._many_refused)

    @property
    def suspects(self) -> list[UUID]:
        """The contacts whose history `decide` and `end` want to know."""
        return [*self._set_up, *self._alike]

    def decide(self, earlier: Mapping[UUID, Earlier]) -> list[Attempt]:
        """Open the breaker, or blame the contacts: where the same ones got the same before, and others got through.

        Or bad contacts that stand side by side would stop the queue again and again.
        """
        if self._many_set_up:
            return self._decide_set_up(earlier)
        if not self._many_refused:
            return []  # another contact got through meanwhile
        if all(_is_second(each, earlier) for each in self._alike.values()):
            return self._pop_refusals(are_answers=False)
        said = {each.outcome.message for each in self._alike.values()}
        shown = said.pop() if len(said) == 1 else _QUOTED.sub('"…"', said.pop())
        self.opened_by = DestinationDown(self._words[0], sentences(shown, self._why))
        return [*(self._given_back(each) for each in self._pop_refusals()), *self._pop_set_up()]

    def end(self, earlier: Mapping[UUID, Earlier]) -> list[Attempt]:
        """Nothing more comes. A set-up status after which nobody got through opens the breaker, unless it is known."""
        own = [each for each in self._set_up.values() if _is_second(each, earlier)]
        for each in own:
            del self._set_up[each.contact_id]
        ended = [*self._pop_refusals(), *map(_its_own, own)]
        return [*ended, *self._open_for_set_up()] if self._set_up else ended

    @property
    def _many_set_up(self) -> bool:
        return len(self._set_up) >= (FAILURES_UNTIL_OPEN if self.down_for is None else 1)

    @property
    def _many_refused(self) -> bool:
        return len(self._alike) >= (1 if self._words[0] == self.down_for else REFUSALS_UNTIL_OPEN)

    def _take_set_up(self, attempt: Attempt) -> list[Attempt]:
        if self.opened_by:
            return [attempt]
        if attempt.contact_id in self._second and not self._set_up:
            return [_its_own(attempt)]
        self._set_up[attempt.contact_id] = attempt
        return []

    def _take_refusal(self, attempt: Attempt) -> list[Attempt]:
        words = (attempt.outcome.reason, _alike_part(attempt.outcome.message))
        if self.opened_by:  # this one was in flight
            return [self._given_back(attempt) if words == self._words else attempt]
        before = [] if words == self._words else self._pop_refusals()
        self._words = words
        self._alike[attempt.contact_id] = attempt
        return before

    def _decide_set_up(self, earlier: Mapping[UUID, Earlier]) -> list[Attempt]:
        if all(_is_second(each, earlier) for each in self._set_up.values()):
            return [_its_own(each) for each in self._pop_set_up()]
        return [*self._pop_refusals(), *self._open_for_set_up()]

    def _open_for_set_up(self) -> list[Attempt]:
        doubtful = self._pop_set_up()
        self.opened_by = next(each.outcome for each in doubtful if isinstance(each.outcome, DestinationDown))
        return doubtful

    def _pop_set_up(self) -> list[Attempt]:
        doubtful = list(self._set_up.values())
        self._set_up.clear()
        return doubtful

    def _pop_refusals(self, *, are_answers: bool = True) -> list[Attempt]:
        doubtful = list(self._alike.values())
        self._alike.clear()
        self.has_answered = self.has_answered or (bool(doubtful) and are_answers)
        return doubtful

    @property
    def _why(self) -> str:
        return _WHY_NOBODY_IS_BLAMED if self.down_for is None else _WHY_IT_STAYS_DOWN

    def _given_back(self, attempt: Attempt) -> Attempt:
        outcome = attempt.outcome
        return replace(attempt, outcome=Deferred(outcome.reason, sentences(outcome.message, self._why)))


def _alike_part(message: str) -> str:
    """What stays the same in one sentence about different contacts: without quotations, and words with a digit."""
    return " ".join(_COUNTED.sub("", _QUOTED.sub("", message)).casefold().split())


def _is_second(attempt: Attempt, earlier: Mapping[UUID, Earlier]) -> bool:
    """Whether this contact got the same answer before, and it is known to be its own.

    One that was blamed for a set-up status stays blamed: that is done only where others got through.
    """
    before = earlier.get(attempt.contact_id)
    if before is None or before.reason != attempt.outcome.reason:
        return False
    return before.others_since or (before.was_rejected and isinstance(attempt.outcome, DestinationDown))


def _its_own(attempt: Attempt) -> Attempt:
    outcome = attempt.outcome
    if not isinstance(outcome, DestinationDown):
        return attempt
    return replace(attempt, outcome=Rejected(outcome.reason, sentences(outcome.answer, _WHY_IT_IS_ITS_OWN)))
