"""The result of an attempt. `reason` is a stable snake_case cause, `message` a sentence without personal data."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeGuard

UNCHANGED = "unchanged"
"""The reason of a contact that was not sent, because its payload is the one that the destination took last."""

NOT_CLAIMED = "not_claimed"
"""The reason of a contact that was put aside: the database refuses to change its row."""

WITHOUT_ITS_NUMBER = "Sent without its phone number, which"
"""How the message begins of a contact whose phone number was left out; why it was, follows. By it they are counted."""


@dataclass(frozen=True, slots=True)
class Synced:
    """The destination holds the contact. `remote_id` is the destination's own id, where its answer gave one."""

    remote_id: str | None = None
    reason: str = "updated"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Not the contact's fault, and another try may do: a timeout, a 5xx, a lost connection.

    `down_after`: an answer that is acceptable for a while, such as that of a server which is starting. Once it has
    lasted this long and nobody has got another one, our set-up is to blame, and no further contact pays for it.
    """

    reason: str
    message: str
    down_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The destination refused this contact's data. Only this blames a contact.

    `may_be_ours`: nothing in the answer shows that it is about this contact's own data. A quota or an attribute of the
    account may be the cause; what other contacts get decides (`domain/blame.py`).
    """

    reason: str
    message: str
    may_be_ours: bool = False


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not really tried: given back without spending a retry, due again after `wait`."""

    reason: str
    message: str = ""
    wait: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class DestinationDown(Deferred):
    """Our set-up is refused (key, IP address, URL): nothing gets through until a person acts, or until `wait` is over.

    The contact pays nothing; `message` says what was refused and what to do. `answer` has the words of the answer
    alone, where the data of one contact may have caused it (`domain/blame.py`); "" where it holds for every contact.
    """

    answer: str = ""


Outcome = Synced | Failed | Rejected | Deferred

OUTCOME_NAMES: dict[type[Synced] | type[Failed] | type[Rejected] | type[Deferred], str] = {
    Synced: "synced",
    Failed: "failed",
    Rejected: "rejected",
    Deferred: "deferred",
    DestinationDown: "deferred",
}
"""The journal's word for each outcome."""


def outcome_of(name: str, reason: str, message: str, remote_id: str | None) -> Outcome:
    """The outcome that a journal row tells of. ValueError for a name that is none of the four."""
    if name == "synced":
        return Synced(remote_id=remote_id, reason=reason, message=message)
    if name == "failed":
        return Failed(reason, message)
    if name == "rejected":
        return Rejected(reason, message)
    if name == "deferred":
        return Deferred(reason, message)
    raise ValueError(f"'{name}' is not a known outcome: it is one of {', '.join(sorted(set(OUTCOME_NAMES.values())))}.")


def is_rate_limit(answer: object) -> TypeGuard[Deferred]:
    """Whether an answer only asks to wait: it costs no contact anything, and the request is sent again."""
    return isinstance(answer, Deferred) and not isinstance(answer, DestinationDown)
