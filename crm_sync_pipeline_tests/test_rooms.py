"""Each room of the product is where the contracts of import-linter see it, and the tests have the same rooms."""

import ast
import re
from pathlib import Path
from typing import Any

from dagster_shared.utils.config import load_toml_as_dict

import crm_sync_pipeline

PRODUCT = Path(crm_sync_pipeline.__file__).parent
ROOT, TESTS = PRODUCT.parent, Path(__file__).parent

OF_TESTS_ALONE = {"acceptance", "chaos", "dirty"}


def contract(name: str) -> dict[str, Any]:
    contracts = load_toml_as_dict(ROOT / "pyproject.toml")["tool"]["importlinter"]["contracts"]
    (found,) = [each for each in contracts if each["name"] == name]
    return dict(found)


def rooms(folder: Path) -> set[str]:
    return {str(each.parent.relative_to(folder)) for each in folder.rglob("__init__.py")} - {"."}


def test_the_composition_root_is_the_only_module_at_the_root_beside_the_old_path_of_the_storage() -> None:
    modules = {each.stem for each in PRODUCT.glob("*.py")} - {"__init__"}

    assert modules == {"definitions", "instance_storage"}
    assert len((PRODUCT / "instance_storage.py").read_text().splitlines()) < 10, "it hands on, and does nothing"


def test_no_room_but_the_queue_may_write_sql() -> None:
    everything = {each.stem for each in PRODUCT.iterdir() if each.suffix == ".py" or (each / "__init__.py").exists()}

    forbidden = {each.rpartition(".")[2] for each in contract("SQL lives in contact_queue alone")["source_modules"]}

    assert forbidden == everything - {"__init__", "contact_queue"}


def test_every_package_is_in_layers_that_leave_none_of_its_modules_out() -> None:
    layered = {
        container.removeprefix("crm_sync_pipeline").removeprefix(".").replace(".", "/")
        for each in load_toml_as_dict(ROOT / "pyproject.toml")["tool"]["importlinter"]["contracts"]
        if each["type"] == "layers" and each["exhaustive"]
        for container in each["containers"]
    }

    assert layered >= {"", "contact_queue", "delivery", "destinations", "monitoring", "settings"}


def test_the_tests_mirror_the_rooms() -> None:
    here = {each for each in rooms(TESTS) if each.split("/")[0] not in OF_TESTS_ALONE}

    modules = {str(each.relative_to(PRODUCT).with_suffix("")) for each in PRODUCT.rglob("*.py")}

    assert here - rooms(PRODUCT) - modules == set(), "tests of rooms that the product does not have"


def test_a_module_of_statements_has_sql_in_its_name_and_belongs_to_the_queue() -> None:
    modules = {each.relative_to(PRODUCT).parts[0] for each in PRODUCT.rglob("*_sql.py")}

    assert modules == {"contact_queue"}


def test_whatever_delivers_enters_by_the_door() -> None:
    inside = PRODUCT / "delivery"
    others = [each for folder in (PRODUCT, TESTS, ROOT / "benchmarks") for each in folder.rglob("*.py")]
    begin = {"deliver", "deliver_in_bulk"}

    past_it = {
        f"{page.relative_to(ROOT)}:{node.lineno}"
        for page in others
        if inside not in page.parents
        for node in ast.walk(ast.parse(page.read_text()))
        if isinstance(node, ast.ImportFrom)
        and re.fullmatch(r"crm_sync_pipeline\.delivery\.(run|bulk)", node.module or "")
        and begin & {each.name for each in node.names}
    }

    assert past_it == set(), "these are to import from crm_sync_pipeline.delivery.door"
