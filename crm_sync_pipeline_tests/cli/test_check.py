"""crm-sync check."""

import pytest

from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY
from crm_sync_pipeline_tests.cli.conftest import Command, Shop


@pytest.mark.parametrize("option", ["--create-fields", "--create-attributes"])
def test_check_says_line_by_line_what_is_wrong_and_what_to_do_and_mends_attributes_on_request(
    crm_sync: Command, shop: Shop, option: str
) -> None:
    del shop.simulator.account.attributes["SOURCE_URL"]

    said = crm_sync("check")

    assert (said.code, said.err) == (1, "")
    assert "WRONG  Attributes" in said.out
    assert "To do: `crm-sync check --create-fields` makes them;" in said.out
    assert said.out.endswith("\nBrevo is not ready: Attributes. Nothing was sent.\n")
    said = crm_sync("check", option)
    assert said.code == 0
    assert "ok  Attributes made      SOURCE_URL (text)" in said.out
    assert said.out.endswith("\nBrevo is ready.\n")
    assert DEFAULT_KEY not in said.out
    found = crm_sync("check", "--json").json
    assert found["is_good"] is True
    assert found["lines"][0] == {
        "name": "Settings",
        "state": "green",
        "says": "read from the environment and .env",
        "to_do": "",
    }


def test_a_setting_that_can_not_be_read_is_the_one_red_line(crm_sync: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVO_LIST_ID", "main")

    said = crm_sync("check", "--json")

    assert said.code == 1
    (line,) = said.json["lines"]
    assert (line["name"], line["state"]) == ("Settings", "red")
    assert line["says"].startswith("BREVO_LIST_ID is 'main': it must be the whole number")
