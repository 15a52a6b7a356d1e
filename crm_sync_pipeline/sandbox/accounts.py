"""What leads to a simulated account, whatever else the environment and .env say of that CRM."""

from collections.abc import Mapping

from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline.settings.groups import DeliveryOptions
from crm_sync_pipeline.simulators import SIMULATIONS

BLANK = " "
"""Counts as unset, and unlike an empty variable it hides one in .env."""


def simulated_account(name: str, base_url: str) -> Mapping[str, str]:
    """The variables for the simulator of this CRM at a base URL.

    Half of a real account would not fit it: a list that it does not have, another way to log in. Pace and options stay.
    """
    entry = DESTINATIONS[name].settings
    prefix = entry.model_config["env_prefix"]
    own = entry.model_fields.keys() - DeliveryOptions.model_fields.keys()
    return {**{f"{prefix}{field}".upper(): BLANK for field in own}, **SIMULATIONS[name].settings_at(base_url)}
