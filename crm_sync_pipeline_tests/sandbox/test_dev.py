"""What `./run dev` takes from the environment, and what it brings itself."""

from contextlib import ExitStack
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from crm_sync_pipeline.destinations import DESTINATIONS, load_settings
from crm_sync_pipeline.destinations.brevo.settings import BrevoSettings
from crm_sync_pipeline.destinations.hubspot.settings import HubspotSettings
from crm_sync_pipeline.destinations.mautic.settings import MauticSettings
from crm_sync_pipeline.sandbox.dev import _prepare


@pytest.mark.parametrize("variable", ["DATABASE_URL", "CRM_SYNC_DATABASE_URL"])
def test_a_database_that_is_set_is_used_and_the_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("BREVO_API_KEY", "xkeysib-1")
    monkeypatch.setenv(variable, "postgresql://anna@db.example.com/contacts")
    said = StringIO()
    with ExitStack() as parts:
        environment = _prepare(parts, Path("var"), Console(file=said))
    assert f"Database: yours, by {variable}\n" in said.getvalue()
    assert environment[variable] == "postgresql://anna@db.example.com/contacts"
    assert {"DATABASE_URL", "CRM_SYNC_DATABASE_URL"} & environment.keys() == {variable}
    assert not Path("var").exists()


def test_half_of_an_account_gives_way_to_the_simulator_even_where_it_stands_in_dotenv(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://anna@db.example.com/contacts")
    monkeypatch.setenv("MAUTIC_USERNAME", "anna")
    monkeypatch.setenv("BREVO_LIST_ID", "57")
    monkeypatch.setenv("BREVO_REQUESTS_PER_SECOND", "60")
    Path(".env").write_text("MAUTIC_PASSWORD=sesame\nHUBSPOT_API_BASE_URL=https://hubspot.example.com\n")
    said = StringIO()
    with ExitStack() as parts:
        environment = _prepare(parts, Path("var"), Console(file=said, width=200))
        assert said.getvalue().count(": simulated;") == len(DESTINATIONS)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings = load_settings()
    assert {name: settings.destinations[name].missing for name in DESTINATIONS} == dict.fromkeys(DESTINATIONS, ())
    brevo, mautic = settings.of(BrevoSettings), settings.of(MauticSettings)
    assert (brevo.list_id, brevo.requests_per_second) == (None, 60)
    assert (mautic.username, mautic.password, mautic.client_id) == (None, None, "mautic-client")
    assert str(settings.of(HubspotSettings).api_base_url).startswith("http://127.0.0.1:")
