"""What n8n's answers say: that it has only begun to start, that the work is done, which workflow did it.

Measured on n8n 2.8.4 in November 2026; a Respond to Webhook node may answer anything else.
"""

import json
from collections.abc import Mapping
from typing import Any

from crm_sync_pipeline.destinations.contract import Answer

REMEDIES: Mapping[str, str] = {
    "no_email": "Fill in its e-mail address, or set N8N_DELIVERS_WITHOUT_EMAIL=true",
    "http_400": "Correct what the workflow's answer names",
    "http_413": "Shorten its name, or let the proxy before n8n accept larger requests",
    "http_422": "Correct what the workflow's answer names",
}
"""What a person does about a refusal, by its reason."""

LONGEST_PLAIN_TEXT = 200

_STARTING_UP = b"n8n is starting up"
_ID_NAMES = ("workflow_id", "workflowId")
_EXECUTION_NAMES = ("execution_id", "executionId")
_LONGEST_ID = 100


def is_starting_up(answer: Answer) -> bool:
    """Whether it is the page that n8n answers anybody with, and a 200, until its database is ready."""
    return answer.body.lstrip().startswith(_STARTING_UP)


def is_empty(answer: Answer) -> bool:
    """Whether there is no body, although the status promises one.

    A webhook whose workflow fails, or comes to an end, before its Respond to Webhook node answers so, with 200. So does
    one that is to answer without data: the two can't be told apart.
    """
    return answer.status != 204 and not answer.body.strip()


def is_success(answer: Answer) -> bool:
    """Whether a workflow has answered so once it was done: with JSON, or with 204. A page of HTML is a proxy's."""
    if answer.status == 204:
        return not answer.body.strip()
    try:
        json.loads(answer.body)
    except (ValueError, RecursionError):
        return False
    return True


def is_page(answer: Answer) -> bool:
    """Whether it is HTML: not a workflow's answer, but that of a proxy or a firewall."""
    return answer.body.lstrip().startswith(b"<")


def workflow_id_in(answer: Answer) -> str | None:
    """The workflow's id, where the answer names it: as `workflow_id`, or as `workflowId`."""
    return _id_in(answer, _ID_NAMES)


def execution_id_in(answer: Answer) -> str | None:
    """The id of the execution in n8n's list, where the answer names it."""
    return _id_in(answer, _EXECUTION_NAMES)


def is_duplicate(answer: Answer) -> bool:
    """Whether the workflow says that it had done this work before."""
    return _item_of(answer).get("duplicate") is True


def _id_in(answer: Answer, names: tuple[str, ...]) -> str | None:
    item = _item_of(answer)
    for name in names:
        value = item.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.isprintable() and 0 < len(value.strip()) <= _LONGEST_ID:
            return value.strip()
    return None


def _item_of(answer: Answer) -> Mapping[str, Any]:
    """The object in an answer, or in a list of one: a webhook may answer with all items of its last node."""
    data = answer.data
    if isinstance(data, list) and len(data) == 1:
        (data,) = data
    return data if isinstance(data, dict) else {}
