"""Dirty contacts in small; `python -m crm_sync_pipeline_tests.dirty` takes 1,000 of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.destinations.phone_forms import at_16fee5b
from crm_sync_pipeline_tests.dirty import addresses, names, phones
from crm_sync_pipeline_tests.dirty.changes import emptied, with_new_addresses, wrong_after
from crm_sync_pipeline_tests.dirty.checks import twins_unnamed, wrong
from crm_sync_pipeline_tests.dirty.generator import Dirty, Row, generate
from crm_sync_pipeline_tests.dirty.run import Dirt, Evidence, StoredContact
from crm_sync_pipeline_tests.product import Product

SEED, COUNT, FEW = 7, 200, 80


@pytest.fixture
def dirt(product: Product, brevo_server: RunningSimulator) -> Dirt:
    return Dirt(product, f"{brevo_server.base_url}/v3")


def delivered(dirt: Dirt, dirty: Dirty) -> Evidence:
    dirt.load(dirty)
    dirt.deliver()
    return dirt.found()


def test_a_seed_gives_the_same_rows_each_time_and_another_gives_others() -> None:
    assert generate(SEED, COUNT) == generate(SEED, COUNT) != generate(SEED + 1, COUNT)


def test_as_many_rows_as_are_taken_here_hold_dirt_of_every_kind() -> None:
    dirty = generate(SEED, COUNT)
    kinds = " ".join(row.kind for row in dirty.rows)
    for column, known in {
        "address": (addresses.SENT, addresses.IN_ERROR),
        "phone": (phones.INTERNATIONAL, phones.NATIONAL, phones.UNREADABLE, phones.NO_NUMBER),
        "name": (names.NAMES,),
    }.items():
        assert [kind for table in known for kind in table if f"{column}: {kind};" not in kinds] == []
        assert len({kind for table in known for kind in table}) == sum(map(len, known)), "one name for each kind"
    assert {repr(row.has_gmail) for row in dirty.rows} == {repr(each) for each in (None, *names.HAS_GMAIL)}
    assert {row.expected.reason for row in dirty.rows} >= {*addresses.SAYS, "created", "updated"}
    assert {stranger.is_blocklisted for stranger in dirty.strangers} == {True, False}
    assert {row.status for row in dirty.rows} == {"Selected", "New", "Skipped"}


def test_every_dirty_contact_ends_as_a_careful_person_reads_its_row(dirt: Dirt) -> None:
    dirty = generate(SEED, COUNT)
    assert wrong(dirty, delivered(dirt, dirty)) == []


def test_the_same_rows_end_the_same_way_again(
    dirt: Dirt, product: Product, brevo_server: RunningSimulator, fresh: World
) -> None:
    dirty = generate(SEED + 1, FEW)
    first = delivered(dirt, dirty).ends(dirty.rows)
    product.simulator.reset()
    product.set(DATABASE_URL=fresh.url)
    again = Dirt(replace(product, world=fresh), f"{brevo_server.base_url}/v3")
    assert delivered(again, dirty).ends(dirty.rows) == first


def _reads_numbers_as_before(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("crm_sync_pipeline.destinations.brevo.destination.international_number", at_16fee5b)


def _refuses_shared_numbers(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("BREVO_SMS_IN_USE", "reject")


def _overlooks_invisible_characters(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("crm_sync_pipeline.domain.contact.normal_form", lambda text: text.strip().lower())


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (_reads_numbers_as_before, ": sent {"),
        (_refuses_shared_numbers, ": Error / Error, not Complete: "),
        (_overlooks_invisible_characters, "invalid_email"),
    ],
)
def test_a_product_that_reads_rows_without_care_is_found_out(
    break_it: Callable[[pytest.MonkeyPatch], None], says: str, dirt: Dirt, monkeypatch: pytest.MonkeyPatch
) -> None:
    dirty = generate(SEED, FEW)
    break_it(monkeypatch)
    assert [line for line in wrong(dirty, delivered(dirt, dirty)) if says in line]


def test_explain_names_the_row_that_was_delivered_later_to_the_same_address(dirt: Dirt) -> None:
    delivered_rows = [row for row in generate(SEED, 400).rows if row.expected.state == "Complete"]
    having = Counter(row.expected.address for row in delivered_rows)
    dirty = Dirty(tuple(row for row in delivered_rows if having[row.expected.address] > 1), ())
    assert twins_unnamed(dirty, delivered(dirt, dirty)) == []


def test_a_row_whose_address_changed_has_one_contact_at_brevo_under_the_new_address(dirt: Dirt) -> None:
    changes_go_out(dirt, with_new_addresses)


def test_what_a_row_has_lost_is_empty_at_brevo(dirt: Dirt) -> None:
    changes_go_out(dirt, emptied)


@pytest.mark.parametrize("change", [with_new_addresses, emptied])
def test_a_product_that_follows_a_change_passes_the_two_tests_above(change: Callable[[Dirty, int], list[Row]]) -> None:
    """They fail because of what Brevo holds, and for no other reason."""
    changed = change(generate(SEED, COUNT), SEED)
    after = fabricated(changed)
    assert list(wrong_after(after, changed, after)) == []
    lacking = replace(after, stored={address: StoredContact({}, False) for address in after.stored})
    assert len(list(wrong_after(after, changed, lacking))) >= len(changed)


def fabricated(changed: Sequence[Row]) -> Evidence:
    stored = {}
    for row in changed:
        attributes = dict(row.expected.attributes)
        if "SMS" in attributes:
            attributes["SMS"] = attributes["SMS"][1:]
        stored[str(row.expected.address)] = StoredContact(attributes, row.expected.state == "Error")
    states = {row.id: (row.expected.state, row.expected.state, None) for row in changed}
    return Evidence(states, {}, {}, (), stored, 0, 0, 0)


def changes_go_out(dirt: Dirt, change: Callable[[Dirty, int], list[Row]]) -> None:
    dirty = generate(SEED, FEW)
    before = delivered(dirt, dirty)
    changed = change(dirty, SEED)
    dirt.change(changed)
    dirt.deliver()
    assert list(wrong_after(before, changed, dirt.found())) == []
