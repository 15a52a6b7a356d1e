import pytest

from crm_sync_pipeline_tests.builders import World


@pytest.fixture
def world(module_world: World) -> World:
    """The user's table, emptied: one database a module. A test that changes more than rows takes `fresh`."""
    module_world.script("TRUNCATE contacts, crm_sync.deliveries, crm_sync.attempts, crm_sync.destinations")
    return module_world
