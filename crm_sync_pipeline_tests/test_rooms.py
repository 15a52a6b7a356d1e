"""Each room of the product is where the contracts of import-linter see it, and the tests have the same rooms."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from dagster_shared.utils.config import load_toml_as_dict

import crm_sync_pipeline
from crm_sync_pipeline.destinations import DESTINATIONS
from crm_sync_pipeline.simulators import SIMULATIONS

PRODUCT = Path(crm_sync_pipeline.__file__).parent
ROOT, TESTS = PRODUCT.parent, Path(__file__).parent

OF_TESTS_ALONE = {"acceptance", "batch_vendor", "chaos", "dirty", "fifth_destination"}


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


def _of_vendors(path: Path) -> bool:
    """Whether the page is of one vendor's folders, or one of the lists that name them."""
    room, *rest = path.relative_to(PRODUCT).parts
    if room in ("destinations", "simulators"):
        return rest[0] in {*DESTINATIONS, "__init__.py"}
    return "migrations" in rest


NAMES_A_VENDOR_STILL = {
    "contact_queue/database/tables.py": "the comment of a column, which a migration wrote",
    "delivery/importer.py": "the protocol of imports, which is to move to its vendor",
}
"""To be emptied, never added to."""


def test_no_page_of_the_product_but_a_vendors_own_names_a_vendor() -> None:
    words = {word.lower() for entry in DESTINATIONS.values() for word in (entry.name, entry.title)}
    assert words >= {"brevo", "hubspot", "mautic", "n8n"}
    pages = [page for page in PRODUCT.rglob("*.py") if not _of_vendors(page)]

    naming = {
        str(page.relative_to(PRODUCT)) for page in pages if any(word in page.read_text().lower() for word in words)
    }

    assert naming == NAMES_A_VENDOR_STILL.keys()


def test_a_vendor_names_no_other() -> None:
    for name, entry in DESTINATIONS.items():
        others = {word.lower() for other in DESTINATIONS.values() for word in (other.name, other.title)}
        others -= {entry.name.lower(), entry.title.lower()}
        for page in [*PRODUCT.glob(f"destinations/{name}/*.py"), *PRODUCT.glob(f"simulators/{name}/*.py")]:
            assert [word for word in others if word in page.read_text().lower()] == [], page


def test_the_registry_brings_no_dagster_before_somebody_delivers() -> None:
    code = "import sys; from crm_sync_pipeline.destinations import DESTINATIONS; print('dagster' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "False"


def test_each_destination_that_is_delivered_to_has_a_page_and_a_simulator() -> None:
    for name in DESTINATIONS:
        assert (ROOT / "docs" / "destinations" / f"{name}.md").exists()
        assert name in SIMULATIONS
