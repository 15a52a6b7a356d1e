"""Whether Brevo refuses the list that contacts are to join, and not a contact.

Nobody has published what Brevo says of a list that is gone. By its words for folders ("Folder ID does not exist") and
for other fields, a 400 or a 404 with one of the forms below is expected; all of them are unverified.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from crm_sync_pipeline.destinations.brevo.answers import own_words

_FIELD = r"list_?ids?(?:\[\d+\]|\.\d+)?"
_QUOTED_FIELD = re.compile(rf"""(["'`])({_FIELD})\1""", re.IGNORECASE)

_BEGIN = r"(?:^|[.:;,] |\b(?:the|this|that|given|provided|requested|some|one of the|contact|mailing) )"
_LIST = r"(?:contact |mailing )?lists?(?: ids?)?"
_WHICH = r"(?: (?:with )?(?:the )?(?:ids? )?[#\[(]?\d+[\])]?)?"
_GONE = (
    r"(?:do(?:es)?(?: not|n't)(?: exists?)?|(?:is|are|was|were|has been|have been)(?: not|n't)? "
    r"(?:found|valid|invalid|known|unknown|deleted|removed|missing|available)"
    r"|(?:could not|couldn't|cannot|can't) be found|not (?:found|exist)|no longer exists?|invalid|unknown|missing"
    r"|is gone)"
)
_WORDS = re.compile(
    "|".join(
        (
            rf"(?<![\w.]){_FIELD}(?!\w)",
            r"\blists? ids?\b",
            rf"{_BEGIN}{_LIST}{_WHICH} {_GONE}\b",
            rf"(?:^|[.:;,] )(?:invalid|unknown|no such|non-?exist(?:ent|ing)|missing) {_LIST}{_WHICH}(?:[ .:;,]|$)",
            rf"\b(?:find|found|exist|known):? (?:any |a |the |this )?{_LIST}{_WHICH}(?:[.:;,]|$)",
        )
    ),
    re.IGNORECASE,
)
_CODE = re.compile(
    r"(?:invalid|unknown|missing|no_such|wrong|deleted)_lists?(?:_ids?)?"
    r"|lists?(?:_ids?)?_(?:not_found|not_exist|does_not_exist|do_not_exist|unknown|invalid|missing|deleted|not_valid)",
    re.IGNORECASE,
)
_METADATA = re.compile(rf"(?:\w+_)?{_FIELD}", re.IGNORECASE)
_SAID_IN = ("error", "errors", "message", "reason", "details", "code", "info")


def refuses_list(body: object) -> bool:
    """Whether an error body's code, metadata or words are about a list; a contact's data that it quotes is not read."""
    if not isinstance(body, dict):
        return False
    code, message, metadata = body.get("code"), body.get("message"), body.get("metadata")
    return (
        (isinstance(code, str) and bool(_CODE.fullmatch(code)))
        or (isinstance(metadata, dict) and any(_METADATA.fullmatch(each) for each in _names_in(metadata)))
        or (isinstance(message, str) and _speaks_of_list(message))
    )


def said_of_list(process: Mapping[str, Any]) -> str:
    """What a process says of a list that it failed for; "" where it says nothing of the kind."""
    said = (text for name in _SAID_IN for text in _texts_in(process.get(name)))
    return next((text for text in said if _CODE.fullmatch(text) or _speaks_of_list(text)), "")


def _speaks_of_list(words: str) -> bool:
    return bool(_WORDS.search(own_words(_QUOTED_FIELD.sub(r"\2", words))))


def _names_in(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Names of fields: the keys, and the words under them that are alone or in a list."""
    for name, value in metadata.items():
        yield name
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))


def _texts_in(value: object) -> Iterator[str]:
    pending = [value]
    while pending:
        each = pending.pop(0)
        if isinstance(each, str):
            yield each
        elif isinstance(each, (list, dict)):
            pending += each if isinstance(each, list) else each.values()
