"""Each CRM as the scenarios of the requirement see it: what differs between them, as data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_sync_pipeline.destinations import CRMS, DESTINATIONS
from crm_sync_pipeline.simulators import SIMULATIONS
from crm_sync_pipeline.simulators.simulator import Simulator


@dataclass(frozen=True)
class Seen:
    """A contact as the CRM holds it. `column` is what the CRM's column of the contacts table says of it then."""

    id: str | None
    column: str
    name: str
    is_in_list: bool = False


@dataclass(frozen=True)
class Refusal:
    """A contact that the CRM does not take, whatever the reason, and what is said of it.

    `fault` is what its simulator is told to answer, where no address makes it refuse one.
    """

    said: str
    email: str = "invalid-email"
    fault: str = ""


@dataclass(frozen=True)
class Vendor:
    """One CRM. `key` is a variable without which it is off, `wrong_key` a value of one that it refuses.

    `set_up_faults` are answers that shut everybody out, with the HTTP status and the words of advice that are expected.
    `again` has the reasons of a first and a second delivery of the same contact. `list_setting` makes each contact join
    a list there, {} where the CRM has none of ours. `spare_requests` may be sent beyond the eight in flight before the
    run stops at an account that is shut: for a token, or for the halves of a batch.
    """

    name: str
    key: str
    wrong_key: Mapping[str, str]
    seen: Callable[[Any, str], Seen | None]
    refusal: Refusal
    set_up_faults: Sequence[tuple[str, int, str]]
    again: tuple[str, str] = ("created", "updated")
    list_setting: Mapping[str, str] = field(default_factory=dict)
    spare_requests: int = 0

    @property
    def title(self) -> str:
        """Its name for people."""
        return CRMS[self.name].title

    @property
    def id_column(self) -> str:
        """The column of the contacts table that shows its id of the contact."""
        return CRMS[self.name].id_column

    def simulator(self) -> Simulator:
        """An account in which nothing is limited."""
        simulation = SIMULATIONS[self.name]
        plan = (
            simulation.plan if self.name == "n8n" else "unlimited"
        )  # n8n has no limit, and its plans are other things
        return simulation.build(plan, ())

    def settings_at(self, base_url: str) -> dict[str, str]:
        """The variables that lead to the simulator, as fast as it will go."""
        pace = f"{self.name.upper()}_REQUESTS_PER_SECOND"
        return {**SIMULATIONS[self.name].settings_at(base_url), pace: "1000"}

    @property
    def remedies(self) -> Mapping[str, str]:
        """What a person does about each of its refusals."""
        return DESTINATIONS[self.name].remedies


def _at_brevo(simulator: Any, email: str) -> Seen | None:
    held = simulator.contacts.get(email)
    if held is None:
        return None
    name = f"{held.attributes.get('FIRSTNAME', '')} {held.attributes.get('LASTNAME', '')}".strip()
    return Seen(str(held.id), email, name, 1 in held.list_ids)


def _at_hubspot(simulator: Any, email: str) -> Seen | None:
    held = simulator.contacts.get(email)
    if held is None:
        return None
    name = f"{held.properties.get('firstname', '')} {held.properties.get('lastname', '')}".strip()
    return Seen(held.id, held.id, name)


def _at_mautic(simulator: Any, email: str) -> Seen | None:
    held = simulator.contacts.get(email)
    if held is None:
        return None
    name = f"{held.fields.get('firstname') or ''} {held.fields.get('lastname') or ''}".strip()
    return Seen(str(held.id), str(held.id), name, 1 in held.segments)


def _at_n8n(simulator: Any, email: str) -> Seen | None:
    held = next((body for body in simulator.contacts.values() if body["email"] == email), None)
    return held and Seen(None, simulator.config.workflow_id, held["name"] or "")


VENDORS: Mapping[str, Vendor] = {
    each.name: each
    for each in (
        Vendor(
            "brevo",
            "BREVO_API_KEY",
            {"BREVO_API_KEY": "xkeysib-wrong"},
            _at_brevo,
            Refusal("Brevo API error (400): Invalid email address"),
            (
                ("status-401-key", 401, "Set a valid v3 key"),
                ("status-401-ip", 401, "https://app.brevo.com/security/authorised_ips"),
            ),
            list_setting={"BREVO_LIST_ID": "1"},
        ),
        Vendor(
            "hubspot",
            "HUBSPOT_API_KEY",
            {"HUBSPOT_API_KEY": "pat-na1-wrong"},
            _at_hubspot,
            Refusal("HubSpot API error (400): Email address … is invalid"),
            (
                ("status-401-key", 401, "HUBSPOT_API_KEY"),
                ("status-403", 403, "scopes"),
            ),
            spare_requests=4,
        ),
        Vendor(
            "mautic",
            "MAUTIC_CLIENT_SECRET",
            {"MAUTIC_CLIENT_SECRET": "wrong"},
            _at_mautic,
            Refusal("Mautic API error (400): email: … is invalid."),
            (("status-401-key", 401, "MAUTIC_CLIENT_ID"),),
            list_setting={"MAUTIC_SEGMENT_ID": "1"},
            spare_requests=4,
        ),
        Vendor(
            "n8n",
            "N8N_WEBHOOK_URL",
            {"N8N_WEBHOOK_SECRET": "wrong"},
            _at_n8n,
            Refusal("n8n API error (400): ", "refused@example.com", "status-400"),  # it takes any address
            (
                ("status-401-key", 401, "N8N_WEBHOOK_SECRET"),
                ("status-403", 403, "N8N_WEBHOOK_SECRET"),
            ),
            again=("accepted", "accepted"),
        ),
    )
}
