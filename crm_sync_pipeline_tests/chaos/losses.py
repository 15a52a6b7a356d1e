"""Claims that ran out."""

from uuid import UUID

from crm_sync_pipeline.domain.transition import LOSSES_UNTIL_ERROR
from crm_sync_pipeline_tests.chaos.evidence import Evidence, seconds_of


def lost_four_times_in_a_row(evidence: Evidence, contact: UUID) -> bool:
    """Whether the last four claims of a contact all ran out with nothing journaled in time."""
    claims_lost = 0
    for change in evidence.of_deliveries.get(contact, ()):
        before, after = change.before or {}, change.after or {}
        token = before.get("claim_token")
        if token is None or after.get("claim_token") == token:
            continue
        ran_out = seconds_of(before["lease_expires_at"]) <= change.began_at
        attempt = evidence.attempts.get((UUID(token), contact))
        in_time = attempt is not None and attempt["attempted_at"].timestamp() < change.began_at
        if ran_out and not in_time:
            claims_lost += 1
        elif in_time:
            claims_lost = 0
    return claims_lost >= LOSSES_UNTIL_ERROR
