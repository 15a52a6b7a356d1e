"""Whether what was found is what had to be: one sentence for each thing that is not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crm_sync_pipeline_tests.dirty.addresses import SAYS
from crm_sync_pipeline_tests.dirty.generator import Dirty, Row
from crm_sync_pipeline_tests.dirty.run import Evidence, body_of

_PROCESSING = {"Complete": "Complete", "Error": "Error"}


def wrong(dirty: Dirty, evidence: Evidence) -> list[str]:
    """Everything that is not as the generator wrote it down; empty where all is."""
    found = [
        *_states(dirty.rows, evidence),
        *_requests(dirty.rows, evidence),
        *_stored(dirty, evidence),
        *_answers(dirty.rows, evidence),
    ]
    left_out = sum(bool(row.expected.left_out) for row in dirty.rows) - len(_holders(dirty, evidence))
    if evidence.numbers_left_out != left_out:
        found.append(f"the runs counted {evidence.numbers_left_out} numbers that were left out, not {left_out}")
    if evidence.red_runs:
        found.append(f"{evidence.red_runs} of {evidence.runs} runs failed")
    return found


def _states(rows: Sequence[Row], evidence: Evidence) -> Iterator[str]:
    for row in rows:
        expected, (state, processing, error) = row.expected, evidence.states[row.id]
        if (state, processing) != (expected.state, _PROCESSING.get(expected.state)):
            yield f"{_name(row)}: {state} / {processing}, not {expected.state}: {error}"
        reasons = [reason for _, reason in evidence.attempts.get(row.id, ())]
        times = {"Complete": 1, "Error": 4}.get(expected.state, 0)
        if reasons != [expected.reason] * times:
            yield f"{_name(row)}: its attempts ended with {reasons}, not {times} times with {expected.reason!r}"
        says = SAYS[expected.reason][0] if expected.state == "Error" else None
        if (says is None) != (error is None) or (says and says not in str(error)):
            yield f"{_name(row)}: its error is {error!r}, not {says!r}"


def _requests(rows: Sequence[Row], evidence: Evidence) -> Iterator[str]:
    """Each request is known by its SOURCE_URL to be one row's; everything else in it must be that row's too."""
    owners = {row.source_url: row for row in rows}
    unsent = {row.number: row for row in rows if row.expected.address is not None}
    for request in evidence.requests:
        body = body_of(request)
        row = owners.get(body.get("attributes", {}).get("SOURCE_URL"))
        if row is None or (request.method, request.path) != ("POST", "/v3/contacts"):
            yield f"{request.method} {request.path} is of no row: {dict(body)}"
            continue
        unsent.pop(row.number, None)
        attributes = row.expected.attributes
        bodies = [_body(row, attributes)]
        if row.expected.may_lose:
            bodies.append(_body(row, {name: value for name, value in attributes.items() if name != "SMS"}))
        if body not in bodies:
            yield f"{_name(row)}: sent {dict(body)}, not {bodies[0]}"
    for row in unsent.values():
        yield f"{_name(row)}: was never sent"


def _body(row: Row, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"email": row.expected.address, "attributes": dict(attributes), "updateEnabled": True}


def _stored(dirty: Dirty, evidence: Evidence) -> Iterator[str]:
    """Brevo holds those who were delivered and those who were there before, with what is theirs, and nobody else."""
    holders = _holders(dirty, evidence)
    truth: dict[str, dict[str, Any]] = {each.address: dict(each.attributes) for each in dirty.strangers}
    for row in dirty.rows:
        expected = row.expected
        if expected.state == "Complete" and expected.address:
            attributes = dict(expected.attributes)
            if expected.may_lose and holders.get(attributes["SMS"]) != expected.address:
                del attributes["SMS"]
            truth.setdefault(expected.address, {}).update(attributes)
    for attributes in truth.values():
        if "SMS" in attributes:
            attributes["SMS"] = attributes["SMS"].lstrip("+")  # as Brevo keeps it
    blocklisted = {each.address for each in dirty.strangers if each.is_blocklisted}
    for address in truth.keys() | evidence.stored.keys():
        stored = evidence.stored.get(address)
        if stored is None or address not in truth:
            yield f"{address}: {'Brevo lacks it' if stored is None else 'nobody asked for it'}"
            continue
        if stored.attributes != truth[address]:
            yield f"{address}: Brevo holds {dict(stored.attributes)}, not {truth[address]}"
        if stored.is_blocklisted != (address in blocklisted):
            yield f"{address}: blocklisted is {stored.is_blocklisted}"
    shared = {row.expected.attributes["SMS"] for row in dirty.rows if row.expected.may_lose}
    strangers = {f"+{each.attributes['SMS']}" for each in dirty.strangers if "SMS" in each.attributes}
    for number in sorted(shared - strangers - holders.keys()):
        yield f"{number}: none of those who share it has it"


def _holders(dirty: Dirty, evidence: Evidence) -> dict[str, str]:
    """Who of those that share a number has it: which of them comes first is not said. Strangers are none of them."""
    sharing = {row.expected.address: row.expected.attributes["SMS"] for row in dirty.rows if row.expected.may_lose}
    return {
        sharing[address]: address
        for address, stored in evidence.stored.items()
        if address in sharing and f"+{stored.attributes.get('SMS')}" == sharing[address]
    }


def twins_unnamed(dirty: Dirty, evidence: Evidence) -> list[str]:
    """Of whom `explain` does not say that another row with the same address was delivered later."""
    last_with = _last_with_address(dirty.rows)
    delivered = [row for row in dirty.rows if row.expected.state == "Complete"]
    twins = [(row, last_with[row.expected.address]) for row in delivered]
    return [
        f"{_name(row)}: explain does not name its twin {last.id}: {evidence.answers[row.id].verdict!r}"
        for row, last in twins
        if last is not row and str(last.id) not in evidence.answers[row.id].verdict
    ]


def _last_with_address(rows: Sequence[Row]) -> Mapping[str | None, Row]:
    """Contacts with one address go one after another, those that wait longest first."""
    return {row.expected.address: row for row in rows if row.expected.state == "Complete"}


def _answers(rows: Sequence[Row], evidence: Evidence) -> Iterator[str]:
    """What `explain` says of each row, but for those whose data another row's has replaced; see twins_unnamed."""
    last_with = _last_with_address(rows)
    for row in rows:
        expected, answer = row.expected, evidence.answers[row.id]
        text = f"{answer.verdict} {answer.next_step}"
        if expected.state == "Complete" and last_with[expected.address] is not row:
            continue
        says = {
            "Complete": "Brevo has it: delivered at",
            "Error": "Given up: Max retries exceeded (3). Last error: ",
        }.get(expected.state, f"Never selected for Brevo (sync status {expected.state}).")
        if not answer.verdict.startswith(says):
            yield f"{_name(row)}: explain says {text!r}, not {says!r}"
        if expected.state == "Error" and not all(each in text for each in SAYS[expected.reason]):
            yield f"{_name(row)}: explain says {text!r}, without {SAYS[expected.reason]}"
        may_say = () if expected.may_lose and _has_number(row, evidence) else expected.left_out
        said = "Sent without its phone number" in text
        if said != bool(may_say) or (said and not any(each in text for each in may_say)):
            yield f"{_name(row)}: explain says {text!r}, of a number that {may_say or 'was sent'}"
        if ("invisible" in text) != bool(expected.named) or expected.named not in text:
            yield f"{_name(row)}: explain says {text!r}; inside its address stands {expected.named or 'nothing'}"


def _has_number(row: Row, evidence: Evidence) -> bool:
    stored = evidence.stored.get(str(row.expected.address))
    return stored is not None and f"+{stored.attributes.get('SMS')}" == row.expected.attributes["SMS"]


def _name(row: Row) -> str:
    return f"row {row.number} ({row.kind})"
