"""Rows that take no update: each is named and stays out of the way, and the others go on."""

from datetime import timedelta
from uuid import UUID

import pytest

from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError
from crm_sync_pipeline.contact_queue.people.acts import Actor, ActResult
from crm_sync_pipeline.contact_queue.people.selection import Which
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.explanation import explain
from crm_sync_pipeline_tests.builders import World, one_run

RAISES = "BEGIN IF NEW.name = 'stuck' THEN RAISE EXCEPTION 'the archive is closed'; END IF; RETURN NEW; END"
RETURNS_NULL = "BEGIN IF NEW.name = 'stuck' THEN RETURN NULL; END IF; RETURN NEW; END"
FUNCTION = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ {} $$"
TRIGGER = "CREATE TRIGGER guard BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION guard()"
DEFERRED = """
    CREATE CONSTRAINT TRIGGER guard AFTER UPDATE ON contacts DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION guard()
"""

REFUSES = {
    "a check that old rows break": ["ALTER TABLE contacts ADD CHECK (name <> 'stuck') NOT VALID"],
    "a trigger that raises": [FUNCTION.format(RAISES), TRIGGER],
    "a trigger that raises at COMMIT": [FUNCTION.format(RAISES), DEFERRED],
    "a trigger that overflows": [
        "ALTER TABLE contacts ADD doubled int",
        FUNCTION.format(
            "BEGIN NEW.doubled := CASE WHEN NEW.name = 'stuck' THEN 2147483647 + length(NEW.name) END; RETURN NEW; END"
        ),
        TRIGGER,
    ],
}
SUPPRESSES = {"a trigger that returns NULL": [FUNCTION.format(RETURNS_NULL), TRIGGER]}


@pytest.fixture(params=[*REFUSES, *SUPPRESSES])
def guard(request: pytest.FixtureRequest) -> list[str]:
    return (REFUSES | SUPPRESSES)[request.param]


@pytest.fixture(params=REFUSES)
def refusal(request: pytest.FixtureRequest) -> list[str]:
    return REFUSES[request.param]


def make(world: World, statements: list[str]) -> None:
    for statement in statements:
        world.execute(statement)


def with_a_stuck_one(world: World, count: int = 7) -> tuple[UUID, list[UUID]]:
    """The second of so many contacts, and the others; all are selected."""
    ids = world.add(*(f"person{number}@example.com" for number in range(count)))
    world.execute("UPDATE contacts SET name = 'stuck' WHERE id = :id", id=ids[1])
    return ids[1], [each for each in ids if each != ids[1]]


def test_a_row_that_takes_no_update_is_put_aside_and_the_others_are_delivered(world: World, guard: list[str]) -> None:
    stuck, others = with_a_stuck_one(world)
    make(world, guard)
    batch = world.queue().claim(10)
    assert batch.size == len(others)
    assert str(stuck) in batch.note
    assert "put aside for 15 minutes, because the database refuses to change it" in batch.note
    assert {contact.id for contact in world.queue().contacts_of(batch.token)} == set(others)
    one_run_of_what_is_claimed = world.queue().settle(batch.token)
    assert one_run_of_what_is_claimed.total == len(others)
    assert world.status(stuck) == ("Selected", "Queued")


def test_it_is_out_of_the_way_until_its_time_and_loses_nothing(world: World, guard: list[str]) -> None:
    stuck, _ = with_a_stuck_one(world)
    make(world, guard)
    one_run(world.queue())
    assert world.queue().depth() == 0, "the sensor would start a run for it each five seconds"
    assert not world.queue().needs_recovery()
    world.pass_deliveries(timedelta(minutes=16))
    assert world.queue().claim(10).size == 0
    delivery = world.delivery(stuck)
    assert (delivery["retry_count"], delivery["lost_count"]) == (0, 0)


def test_once_the_table_takes_it_it_goes_out_by_itself(world: World, guard: list[str]) -> None:
    stuck, _ = with_a_stuck_one(world)
    make(world, guard)
    one_run(world.queue())
    world.execute("UPDATE contacts SET name = 'free'" if "CHECK" in guard[0] else "DROP TRIGGER guard ON contacts")
    world.pass_deliveries(timedelta(minutes=16))
    one_run(world.queue())
    assert world.status(stuck) == ("Complete", "Complete")


def test_sync_now_tries_it_at_once(world: World) -> None:
    stuck, _ = with_a_stuck_one(world)
    make(world, REFUSES["a check that old rows break"])
    one_run(world.queue())
    with pytest.raises(DatabaseError, match="violates check constraint"):
        world.queue().claim_contact(stuck)
    world.execute("ALTER TABLE contacts DROP CONSTRAINT contacts_name_check")
    assert world.queue().claim_contact(stuck).size == 1


def test_sync_now_of_a_row_that_a_trigger_keeps_as_it_is_says_so(world: World) -> None:
    stuck, _ = with_a_stuck_one(world)
    make(world, SUPPRESSES["a trigger that returns NULL"])
    with pytest.raises(CrmSyncError, match=f"Contact {stuck} can't be claimed: .* a trigger of the table suppresses"):
        world.queue().claim_contact(stuck)


def test_explain_and_status_name_it_with_what_to_do(world: World) -> None:
    stuck, _ = with_a_stuck_one(world)
    make(world, REFUSES["a check that old rows break"])
    one_run(world.queue())
    answer = explain(world.database.report().facts(CRMS["brevo"], stuck, 3), DESTINATIONS["brevo"].remedies)
    assert answer.verdict.startswith("Put aside, because the database refuses to change its row: new row for relation")
    assert "Fix the row, or the constraint" in answer.next_step
    (group,) = world.database.report().errors(CRMS["brevo"])
    assert (group.reason, group.count, group.contact_ids) == ("not_claimed", 1, (str(stuck),))


def test_many_of_them_at_the_head_of_the_queue_do_not_keep_the_others_from_going_out(world: World) -> None:
    ids = world.add(*(f"person{number}@example.com" for number in range(40)))
    world.execute("UPDATE contacts SET name = 'stuck' WHERE id = ANY (:ids)", ids=ids[:25])
    make(world, REFUSES["a check that old rows break"])
    batch = world.queue().claim(30)
    assert batch.size == 5
    assert "25 contacts were put aside" in batch.note
    assert "and 22 more" in batch.note


def test_what_another_run_claimed_meanwhile_is_not_taken_for_a_row_that_takes_no_update(world: World) -> None:
    _, others = with_a_stuck_one(world)
    make(world, SUPPRESSES["a trigger that returns NULL"])
    first, second = world.queue().claim(3), world.queue().claim(10)
    assert first.size + second.size == len(others)
    assert "put aside" in first.note + second.note
    assert second.note == "" or first.note == ""


@pytest.mark.parametrize("ids", [True, False], ids=["by ids", "all"])
def test_a_selection_leaves_the_row_out_by_name_and_takes_the_others(
    world: World, refusal: list[str], ids: bool
) -> None:
    everybody = world.add(*(f"person{number}@example.com" for number in range(9)), selected=False)
    world.execute("UPDATE contacts SET name = 'stuck' WHERE id = :id", id=everybody[0])
    make(world, refusal)
    result = act(world, "select", everybody if ids else None)
    assert (result.contacts, result.changes, result.refused) == (8, 8, 1)
    assert (
        f"1 contact was left unchanged, because the database refuses to change it: {everybody[0]}: " in result.message
    )
    assert "unknown" not in result.message
    assert world.status(everybody[0]) == ("New", None)
    assert {world.status(each) for each in everybody[1:]} == {("Selected", "Queued")}
    assert world.database.acts(Actor("tester")).newest(1)[0].contacts == 8


@pytest.mark.parametrize("verb", ["unselect", "hold"])
def test_each_act_goes_on_past_such_a_row(world: World, verb: str) -> None:
    stuck, others = with_a_stuck_one(world)
    make(world, REFUSES["a check that old rows break"])
    result = act(world, verb, None)
    refused = result.refused
    assert result.contacts + refused == len(others) + 1
    assert verb == "hold" or (refused == 1 and str(stuck) in result.message)


def test_a_selection_for_several_crms_counts_such_a_row_once(world: World) -> None:
    stuck, *others = world.add("a@example.com", "b@example.com", "c@example.com", selected=False)
    world.execute("UPDATE contacts SET name = 'stuck' WHERE id = :id", id=stuck)
    make(world, REFUSES["a check that old rows break"])
    result = act(world, "select", None, crms=("brevo", "hubspot"))
    assert (result.contacts, result.changes, result.refused) == (len(others), 2 * len(others), 1)


def test_a_right_that_is_missing_is_not_taken_for_a_fault_of_the_rows(world: World) -> None:
    world.add("a@example.com", "b@example.com")
    world.execute("CREATE ROLE reader LOGIN")
    try:
        world.execute("GRANT SELECT ON contacts TO reader")
        world.execute("GRANT USAGE ON SCHEMA crm_sync TO reader")
        world.execute("GRANT ALL ON ALL TABLES IN SCHEMA crm_sync TO reader")
        reader = World(world.url.replace("postgres@", "reader@"))
        with pytest.raises(DatabaseError, match=r"permission denied for table contacts \(42501\)"):
            reader.queue().claim(10)
        reader.engine.dispose()
    finally:
        world.execute("DROP OWNED BY reader")
        world.execute("DROP ROLE reader")
    assert not world.value("SELECT count(*) FROM crm_sync.deliveries")


def act(world: World, verb: str, ids: list[UUID] | None, crms: tuple[str, ...] = ("brevo",)) -> ActResult:
    return world.database.acts(Actor("tester")).carry_out(verb, Which(ids), crms, everything=True)
