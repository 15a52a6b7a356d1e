"""What must hold of a contact, whatever two sessions did to it at once: in its history, and as it stands in the end."""

from collections.abc import Mapping, Sequence
from typing import Any

Note = Mapping[str, Any]

DONE = "Complete/Complete"
CLAIMED = "Processing/Processing"

ENDS = {"unselect": "New", "select": DONE}
"""Where a contact may end, after what a person decided; all others are to be delivered."""


def wrong_as_it_stands(names: Sequence[str], row: Mapping[str, Any]) -> list[str]:
    """What contradicts itself in a contact's row and its delivery, or a decision that was made."""
    claimed, status = row["claimed"], row["status"]
    decided = {"select", "unselect"} & set(names)
    checks = {
        "a token without a lease, or a lease without a token": claimed != row["leased"],
        "Processing, and not claimed": status == CLAIMED and not claimed,
        f"claimed, but {status}": claimed and status != CLAIMED and not decided,
        f"it was unselected and is {status}": decided == {"unselect"} and status != "New",
        f"it was selected and is {status}": decided == {"select"} and status not in SELECTED,
        "what was sent late may have landed last": "journal late" in names and status == DONE,
        "one failure was counted twice": (row["retry_count"] or 0) > 1,
    }
    return [what for what, is_so in checks.items() if is_so]


SELECTED = {"Selected/Queued", "Queued/Queued", CLAIMED}
"""What a selected contact may be right after: waiting, or claimed; never done or given up."""


def _lease(notes: Sequence[Note]) -> list[str]:
    """A live claim is ended by its own run alone, and taken by nobody."""
    return [
        f"{note['did']} took a live claim"
        for note in notes
        if note["what"] == "delivery" and note["old_token"] and note["old_token"] != note["new_token"]
        if note["live"] and not (note["did"] == "settle" and note["is_its_own"])
    ] + [
        "settle ended a claim that is not its own"
        for note in notes
        if note["what"] == "delivery" and note["did"] == "settle" and note["old_token"] and not note["is_its_own"]
    ]


def _claims(notes: Sequence[Note]) -> list[str]:
    """A claim takes what is queued; nothing else becomes Processing."""
    return [
        f"{note['did']} made {note['was']} Processing"
        for note in notes
        if note["what"] == "contact" and note["became"] == CLAIMED != note["was"]
        if note["did"] != "claim" or note["was"] not in ("Selected/Queued", "Queued/Queued")
    ]


def _decisions(notes: Sequence[Note]) -> list[str]:
    """Settling and recovering touch only what a claim left Processing; a claim also what is queued."""
    return [
        f"{note['did']} wrote {note['became']} over {note['was']}"
        for note in notes
        if note["what"] == "contact" and note["did"] in ("settle", "recover", "claim", "extend", "journal")
        if note["was"] != CLAIMED and note["became"] != CLAIMED
    ]


def _counted(notes: Sequence[Note]) -> list[str]:
    """What was journaled once is counted once."""
    spent = sum(note["retries"] for note in notes if note["what"] == "delivery" and note["retries"] > 0)
    ended = [note for note in notes if note["what"] == "contact" and note["became"] == DONE != note["was"]]
    return ["a retry was spent twice"] * (spent > 1) + ["it was completed twice"] * (len(ended) > 1)


def _edits(notes: Sequence[Note]) -> list[str]:
    """What was edited before it was settled is not Complete: the destination holds the old state."""
    edited = False
    for note in notes:
        edited = edited or bool(note["edited"])
        if note["what"] == "contact" and edited and note["became"] == DONE != note["was"]:
            return ["it was edited, and counts as delivered"]
    return []


def wrong_in_history(notes: Sequence[Note]) -> list[str]:
    """What went wrong on the way of one contact, whose changes `notes` tells in their order; `did` names the doer."""
    return [what for check in (_lease, _claims, _decisions, _counted, _edits) for what in check(notes)]
