"""A `.env` that another system wrote, as Dagster reads it and as we do."""

from pathlib import Path

import pytest
from dagster._core.secrets.env_file import get_env_var_dict

from crm_sync_pipeline import definitions
from crm_sync_pipeline.destinations import load_settings
from crm_sync_pipeline.destinations.brevo.settings import BrevoSettings
from crm_sync_pipeline.settings import SettingsError
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY
from crm_sync_pipeline_tests.product import Product


@pytest.mark.parametrize("around", ["{}\r", '"{}"', "'{}' ", "\"'{}'\"\r\n"], ids=ascii)
def test_what_is_around_the_secrets_that_dagster_reads_is_no_part_of_them(product: Product, around: str) -> None:
    product.world.add("jane@example.com")
    product.set(DATABASE_URL=around.format(product.world.url), BREVO_API_KEY=around.format(DEFAULT_KEY))

    assert product.run().success
    assert list(product.simulator.contacts) == ["jane@example.com"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=ascii)
def test_dagster_finds_the_secrets_of_a_file_where_we_do(encoding: str, line_end: str) -> None:
    lines = ("DATABASE_URL=postgresql://here/x", 'BREVO_API_KEY="key"', "")
    Path(".env").write_bytes(line_end.join(lines).encode(encoding))

    settings = load_settings()

    assert settings.general.database_url is not None
    key = settings.of(BrevoSettings).api_key
    assert key is not None
    assert get_env_var_dict(".") == {
        "DATABASE_URL": settings.general.database_url.get_secret_value(),
        "BREVO_API_KEY": key.get_secret_value(),
    }


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_that_is_not_utf_8_is_named_when_dagster_loads_us(encoding: str) -> None:
    Path(".env").write_text("# für Brevo\nBREVO_LIST_ID=3\n", encoding)
    with pytest.raises(SettingsError, match="Save it again with the encoding UTF-8"):
        definitions.defs()
