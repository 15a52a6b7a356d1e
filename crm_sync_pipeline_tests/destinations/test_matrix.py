"""The matrix of the CRMs says what the code does, and their pages have one form."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from crm_sync_pipeline.destinations import DESTINATIONS, load_settings
from crm_sync_pipeline.destinations.contract import Record
from crm_sync_pipeline.destinations.destination import HttpDestination
from crm_sync_pipeline.domain.outcome import OUTCOME_NAMES, Outcome
from crm_sync_pipeline_tests.destinations.conftest import CONTACT, VENDORS
from crm_sync_pipeline_tests.destinations.test_contract import READINGS

PAGES = Path(__file__).parents[2] / "docs" / "destinations"
MATRIX = PAGES / "README.md"
PRODUCT = Path(__file__).parents[2] / "crm_sync_pipeline"


def destination(name: str) -> HttpDestination:
    return DESTINATIONS[name].destination().from_settings(load_settings())


def cells(row: str) -> dict[str, str]:
    """A row of the matrix, by the names of the CRMs."""
    heads, _, *rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in MATRIX.read_text().splitlines()
        if line.startswith("|")
    ]
    names = re.findall(r"\]\((\w+)\.md\)", " ".join(heads))
    (found,) = [cells for name, *cells in rows if name == row]
    return dict(zip(names, found, strict=True))


def per_request(name: str) -> str:
    most = destination(name).limits.contacts_per_request
    size = DESTINATIONS[name].settings.model_fields.get("batch_size")
    if size is None:
        return f"up to {most}" if most > 1 else "1"
    (bound,) = [limit.le for limit in size.metadata if hasattr(limit, "le")]
    return f"up to {most}, by `{name.upper()}_BATCH_SIZE` up to {bound}"


def pace(name: str) -> str:
    made = destination(name)
    return f"{made.requests_per_second:g} requests per second, {made.concurrency} at once"


def time_limit(name: str) -> str:
    variable = f"{name.upper()}_TIMEOUT_SECONDS"
    is_set = "timeout_seconds" in DESTINATIONS[name].settings.model_fields
    return f"{destination(name).timeout_seconds:g} s" + (f", by `{variable}`" if is_set else "")


def id_column(name: str) -> str:
    crm = DESTINATIONS[name].crm
    return f"`{crm.id_column}`: " + ("the address that was sent" if crm.holds_address else "the vendor's id")


def without_address(name: str) -> str:
    made = destination(name)
    can = "delivers_without_email" in type(made).model_fields
    assert isinstance(made.prepare(CONTACT), Record)
    assert not isinstance(made.prepare(replace(CONTACT, email="")), Record)
    return f"refused, unless `{name.upper()}_DELIVERS_WITHOUT_EMAIL`" if can else "refused"


FROM_THE_CODE: dict[str, Callable[[str], str]] = {
    "contacts per request": per_request,
    "set here, by default": pace,
    "time limit of a request": time_limit,
    "column on the contacts table": id_column,
    "a contact without an e-mail address": without_address,
}


@pytest.mark.parametrize("row", FROM_THE_CODE)
def test_the_matrix_says_what_the_code_does(row: str) -> None:
    assert cells(row) == {name: FROM_THE_CODE[row](name) for name in DESTINATIONS}


def overrides(name: str, method: str) -> bool:
    return getattr(type(destination(name)), method) is not getattr(HttpDestination, method)


def test_it_says_where_there_is_an_import_and_where_unchanged_contacts_can_be_looked_up() -> None:
    says_bulk = {name: not cell.startswith("no") for name, cell in cells("bulk import").items()}
    says_skip = {name: not cell.startswith("no") for name, cell in cells("`…_SKIP_UNCHANGED`").items()}

    assert says_bulk == {name: destination(name).bulk() is not None for name in DESTINATIONS}
    assert says_skip == {name: overrides(name, "missing") for name in DESTINATIONS}


def test_it_says_where_a_copy_is_moved_and_emptied() -> None:
    """Both are what follows a first request: where nothing does, the same body goes out again."""
    follows = {name: overrides(name, "next_request") for name in DESTINATIONS}

    assert {name: "is moved" in cell for name, cell in cells("changed address").items()} == follows
    assert {name: cell == "emptied once" for name, cell in cells("cleared fields").items()} == follows


def test_it_says_where_fields_are_made() -> None:
    """Whoever makes fields asks for `create_fields` beyond the signature that all share."""
    made = {
        name: any("create" in page.read_text() for page in PRODUCT.glob(f"destinations/{name}/readiness.py"))
        for name in DESTINATIONS
    }

    assert {
        name: not cell.startswith("none") for name, cell in cells("fields made by `check --create-fields`").items()
    } == made


def test_the_links_of_the_matrix_are_used_and_each_names_the_vendors_own_site() -> None:
    text = MATRIX.read_text()
    targets = dict(re.findall(r"^\[([a-z-]+)\]: (\S+)$", text, re.MULTILINE))

    assert set(re.findall(r"\]\[([a-z-]+)\]", text)) == targets.keys()
    sites = {
        "b": "developers.brevo.com",
        "h": "developers.hubspot.com",
        "m": "developer.mautic.org",
        "n": "docs.n8n.io",
    }
    for name, target in targets.items():
        assert target.startswith(f"https://{sites[name[0]]}/"), name


@pytest.mark.parametrize("name", DESTINATIONS)
def test_the_pages_of_all_crms_have_one_form(name: str) -> None:
    title = DESTINATIONS[name].title
    headings = re.findall(r"^## (.+)$", (PAGES / f"{name}.md").read_text(), re.MULTILINE)
    form = [
        re.compile(r"From an empty .+ to the first contact"),
        re.compile("What is sent"),
        re.compile(f"What {title} answers, and what happens"),
        re.compile("Limits"),
        re.compile("What is not done"),
    ]

    of_all = [heading for heading in headings if any(each.fullmatch(heading) for each in form)]

    assert len(of_all) == len(form)
    assert all(each.fullmatch(heading) for each, heading in zip(form, of_all, strict=True)), "in this order"


@pytest.mark.parametrize("name", DESTINATIONS)
def test_each_page_tells_the_reasons_that_a_person_is_helped_with(name: str) -> None:
    told = (PAGES / f"{name}.md").read_text()

    assert [reason for reason in DESTINATIONS[name].remedies if f"`{reason}`" not in told] == []


@pytest.mark.parametrize("name", DESTINATIONS)
@pytest.mark.parametrize(
    ("fault", "outcome"), [(fault, outcome) for fault, _, outcome, _ in READINGS if fault.startswith("status-")]
)
def test_each_page_has_a_row_for_each_status_with_the_outcome_that_the_contract_suite_sees(
    name: str, fault: str, outcome: type[Outcome]
) -> None:
    status = fault.split("-")[1]
    names = [status, "5xx"] if status[0] == "5" else [status, "any other status"]
    rows = [line.strip("| ").split(" | ") for line in (PAGES / f"{name}.md").read_text().splitlines()]

    told = {row[1] for row in rows if len(row) == 5 and any(re.search(rf"\b{each}\b", row[0]) for each in names)}

    assert OUTCOME_NAMES[VENDORS[name].outcomes.get(fault, outcome)] in told
