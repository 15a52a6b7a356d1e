import pytest

from crm_sync_pipeline_tests.destinations.conftest import Rig


@pytest.fixture
def rig(_rigs: dict[str, Rig]) -> Rig:
    """Brevo's alone, whatever else is delivered to."""
    made = _rigs["brevo"]
    made.simulator.heal()
    made.simulator.reset()
    return made
