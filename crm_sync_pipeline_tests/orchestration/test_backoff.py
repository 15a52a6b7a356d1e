"""A database that lets no claim succeed costs a few runs, and the first claim that does succeed ends the wait."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import dagster as dg
import pytest

from crm_sync_pipeline.orchestration import sensors
from crm_sync_pipeline_tests.monitoring.alert_receivers import Receiver, webhook
from crm_sync_pipeline_tests.orchestration.refusals import REFUSALS, Site, site
from crm_sync_pipeline_tests.product import Product

SCHEDULE, SENSOR = "brevo_sync_schedule", "brevo_queue_sensor"
TICK = timedelta(seconds=5)
NEXT_RUN = re.compile(r"The next run starts in (\d+) s\. To try at once, launch brevo_sync by hand in the UI\.$")


@pytest.fixture
def refusing(product: Product) -> Iterator[Site]:
    with site(product) as made:
        yield made


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with webhook() as receiver:
        yield receiver


def wait_in(answer: dg.RunRequest | dg.SkipReason) -> timedelta | None:
    """How long the tick says that the next run waits."""
    said = NEXT_RUN.search(answer.skip_message or "") if isinstance(answer, dg.SkipReason) else None
    return timedelta(seconds=int(said[1])) if said else None


def waits(answer: dg.RunRequest | dg.SkipReason) -> bool:
    """Whether no run starts now: it backs off, or what the database refused is put aside and not due."""
    return wait_in(answer) is not None or "No contact is due" in str(answer)


def runs_within(refusing: Site, span: timedelta) -> int:
    """How many runs the sensor starts within that time. From the second on, neither trigger starts another at once."""
    until, runs = refusing.now() + span, 0
    while refusing.now() < until:
        answer = refusing.product.tick(SENSOR)
        if isinstance(answer, dg.RunRequest):
            refusing.run(answer)
            runs += 1
            answer = refusing.product.tick(SENSOR)
            if runs > 1:
                assert waits(answer)
                assert waits(refusing.product.tick(SCHEDULE))
        refusing.skip(max(TICK, wait_in(answer) or TICK) if runs else timedelta(minutes=5))
    return runs


def run_in_vain(refusing: Site, times: int) -> None:
    for _ in range(times):
        answer = refusing.product.tick(SENSOR)
        refusing.skip(wait_in(answer) or timedelta(0))
        refusing.run(requested(refusing))


def requested(refusing: Site) -> dg.RunRequest:
    answer = refusing.product.tick(SENSOR)
    assert isinstance(answer, dg.RunRequest)
    return answer


def spent(refusing: Site) -> list[dict[str, object]]:
    """Contacts that paid for it."""
    return refusing.product.world.rows(
        """SELECT contacts.retry_count, deliveries.retry_count, lost_count
           FROM contacts LEFT JOIN crm_sync.deliveries ON contact_id = contacts.id
           WHERE contacts.retry_count > 0 OR deliveries.retry_count > 0 OR lost_count > 0"""
    )


def delivered(refusing: Site) -> int:
    return int(refusing.product.world.value("SELECT count(*) FROM contacts WHERE brevo_sync_status = 'Complete'"))


@pytest.mark.parametrize("name", REFUSALS)
def test_whatever_refuses_a_claim_runs_become_rare_and_the_first_success_goes_on_at_once(
    refusing: Site, name: str
) -> None:
    product = refusing.product
    product.world.add_many(40)
    product.set(BREVO_SYNC_SENSOR_BATCH_LIMIT="20")
    with refusing.refuses(name):
        assert runs_within(refusing, timedelta(minutes=10)) <= 7
    assert (spent(refusing), delivered(refusing)) == ([], 0)
    refusing.skip(timedelta(minutes=15))
    for _ in range(2):
        assert refusing.run(requested(refusing)), "no wait is left"
    assert (spent(refusing), delivered(refusing)) == ([], 40)


def test_the_tick_says_how_many_runs_achieved_nothing_why_and_what_to_do(refusing: Site) -> None:
    refusing.product.world.add("a@example.com")
    with refusing.refuses("no right to update contacts"):
        run_in_vain(refusing, 3)
        refusing.skip(timedelta(seconds=10))
        for trigger in (SENSOR, SCHEDULE):
            answer = refusing.product.tick(trigger)
            assert isinstance(answer, dg.SkipReason)
            assert (answer.skip_message or "").startswith(
                "The last 3 runs of brevo_sync recorded no contact although some were due. The newest one said: The "
                "database refused a statement: permission denied for table contacts (42501). "
            )
            assert timedelta(seconds=5) <= (wait_in(answer) or timedelta(0)) <= timedelta(seconds=10)


def looks_again(_seconds: float) -> None:
    pytest.fail("it looks again")


def test_a_tick_that_backs_off_answers_at_once(refusing: Site) -> None:
    refusing.product.world.add("a@example.com")
    with refusing.refuses("a policy that hides rows from updates"):
        run_in_vain(refusing, 4)
        refusing.product.monkeypatch.setattr(sensors, "LOOKS_FOR", timedelta(hours=1))
        refusing.product.monkeypatch.setattr(
            sensors, "time", SimpleNamespace(monotonic=time.monotonic, sleep=looks_again)
        )
        answer = refusing.product.tick(SENSOR)
    assert wait_in(answer)
    assert "a trigger, a rule or a policy" in str(answer)


def test_what_is_launched_by_hand_tries_at_once_and_its_success_ends_the_wait(refusing: Site) -> None:
    product = refusing.product
    product.world.add_many(12)
    with refusing.refuses("a read-only role"):
        run_in_vain(refusing, 6)
        before = wait_in(product.tick(SENSOR))
        assert not product.run().success
        assert (wait_in(product.tick(SENSOR)) or timedelta(0)) <= (before or timedelta(0)), "it does not lengthen it"
    assert product.run().success
    assert delivered(refusing) == 10
    assert isinstance(product.tick(SENSOR), dg.RunRequest)


def test_a_recovery_that_changes_nothing_again_and_again_backs_off_too(refusing: Site) -> None:
    """Nothing is due: what a dead run has claimed is left behind."""
    product = refusing.product
    product.world.add("a@example.com")
    product.world.queue().claim(1)
    product.world.pass_time(timedelta(seconds=301))
    with refusing.refuses("a trigger that swallows deliveries"):
        assert product.world.queue().depth() == 0
        assert runs_within(refusing, timedelta(minutes=10)) <= 7
    refusing.skip(timedelta(minutes=15))
    assert refusing.run(requested(refusing))
    assert delivered(refusing) == 1


def test_while_brevo_is_down_the_breaker_alone_sets_the_pace(product: Product) -> None:
    product.instance = product.on_disk
    product.world.add_many(3)
    product.simulator.inject("status-401-key")
    for minutes in (1, 2, 4, 8, 15):
        request = product.tick(SENSOR)
        assert isinstance(request, dg.RunRequest), "the probe is due"
        assert not product.run_requested(request).success
        assert "Brevo is down; the next probe is due" in str(product.tick(SENSOR))
        product.pass_minutes(minutes)
    product.instance.wipe()


def test_runs_of_an_older_version_and_runs_without_work_make_nothing_wait(refusing: Site) -> None:
    product = refusing.product
    product.world.add("a@example.com")
    for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE) * 5:
        older = dg.DagsterRun("brevo_sync", str(uuid4()), status=status, tags={"crm_sync/queue_depth": "1"})
        product.instance.add_run(older)
    product.world.unselect(*(row["id"] for row in product.world.rows("SELECT id FROM contacts")))
    for _ in range(3):
        assert product.run().success, "nothing was due"
    product.world.add("b@example.com")
    assert isinstance(product.tick(SENSOR), dg.RunRequest)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "alert"),
    [
        ("a read-only role", "The database has not worked for "),
        ("no right to update contacts", "The last 3 runs of brevo_sync failed."),
    ],
)
def test_a_day_of_a_refusing_database_is_at_most_200_runs_one_alert_and_its_recovery(
    refusing: Site, hook: Receiver, name: str, alert: str
) -> None:
    product = refusing.product
    product.set(CRM_SYNC_ALERT_WEBHOOK_URL=hook.url)
    product.set(BREVO_SYNC_SENSOR_BATCH_LIMIT="10")  # so that it takes some runs to work off the backlog
    product.world.add_many(40)
    refusing.look()
    runs, real, began = 0, 6, refusing.now()
    with refusing.refuses(name):
        while refusing.now() < began + timedelta(days=1):
            waits = []
            for trigger in (SENSOR, SCHEDULE):
                answer = product.tick(trigger)
                if isinstance(answer, dg.RunRequest):
                    runs += 1
                    refusing.run(answer) if runs <= real else refusing.run_as_before()
                waits.append(wait_in(answer))
            refusing.look()
            is_at_first = refusing.now() < began + timedelta(minutes=8)
            longest = timedelta(seconds=30) if is_at_first else timedelta(minutes=15)  # how often alerts are looked for
            refusing.skip(min(longest, max(TICK, waits[-1] or TICK) if runs else longest))
    assert runs <= 200
    assert spent(refusing) == []
    for _ in range(20):
        answer = product.tick(SENSOR)
        if isinstance(answer, dg.RunRequest):
            assert refusing.run(answer)
        refusing.look()
        refusing.skip(timedelta(minutes=1))
    assert (spent(refusing), delivered(refusing)) == ([], 40)
    raised, over = hook.got
    assert raised.startswith(alert)
    assert over in (
        "The database works again. The queue goes on; nothing is left to do.",
        "A run of brevo_sync has succeeded again.",
    )
    assert "@" not in raised


def test_green_runs_that_take_nothing_are_told_too_and_so_is_the_first_that_takes_something(
    refusing: Site, hook: Receiver
) -> None:
    product = refusing.product
    product.set(CRM_SYNC_ALERT_WEBHOOK_URL=hook.url)
    product.world.add("a@example.com")
    with refusing.refuses("a policy that hides rows from updates"):
        run_in_vain(refusing, 2)
        assert product.run().success, "launched by hand, green, and in vain: it ends nothing"
        assert refusing.look() == "Nothing has changed."
        run_in_vain(refusing, 1)
        refusing.look()
        refusing.look()
    assert product.run().success
    refusing.look()
    raised, over = hook.got
    assert raised.startswith("The last 3 runs of brevo_sync recorded no contact although some were due.")
    assert over == "A run of brevo_sync has succeeded again."


def test_a_failover_of_a_few_minutes_is_no_alert_and_neither_is_what_follows_from_it(
    refusing: Site, hook: Receiver
) -> None:
    product = refusing.product
    product.set(CRM_SYNC_ALERT_WEBHOOK_URL=hook.url)
    product.world.add_many(10)
    with refusing.refuses("a read-only role"):
        until = refusing.now() + timedelta(minutes=4)
        while refusing.now() < until:
            answer = product.tick(SENSOR)
            if isinstance(answer, dg.RunRequest):
                refusing.run(answer)
            refusing.look()
            refusing.skip(timedelta(seconds=30))
    for _ in range(10):
        refusing.look()
        answer = product.tick(SENSOR)
        if isinstance(answer, dg.RunRequest):
            refusing.run(answer)
        refusing.skip(timedelta(seconds=30))
    assert delivered(refusing) == 10
    assert hook.got == []


def test_a_database_that_is_away_is_told_by_each_channel_once_even_if_one_does_not_take_it_at_first(
    refusing: Site, hook: Receiver
) -> None:
    product = refusing.product
    product.set(CRM_SYNC_ALERT_WEBHOOK_URL=hook.url, DATABASE_URL="postgresql://me:sesame@127.0.0.1:1/nowhere")
    for _ in range(9):
        refusing.look()
        refusing.skip(timedelta(seconds=30))
    assert hook.got == []
    refusing.skip(timedelta(seconds=30))
    hook.refuses = True
    assert "It will be retried at the next check." in refusing.look()
    hook.refuses = False
    refusing.look()
    refusing.look()
    (raised,) = hook.got
    assert raised.startswith("The database has not worked for 5 min: The database at 127.0.0.1:1 can't be used: ")
    assert "sesame" not in raised + (refusing.cursor or "")
    product.set(DATABASE_URL=refusing.url)
    hook.refuses = True
    refusing.look()
    hook.refuses = False
    refusing.look()
    refusing.look()
    assert hook.got[1:] == ["The database works again. The queue goes on; nothing is left to do."]


def test_a_contact_that_can_not_be_claimed_makes_its_run_red_and_lets_no_other_wait(product: Product) -> None:
    stuck, *others = product.world.add(*(f"p{number}@example.com" for number in range(4)))
    product.world.execute("ALTER TABLE contacts ADD CHECK (email <> 'p0@example.com') NOT VALID")
    result = product.run_requested(product.tick(SENSOR))
    assert not result.success
    assert str(stuck) in str(result.all_events[-1].event_specific_data) + str(
        [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    )
    assert {product.world.status(each) for each in others} == {("Complete", "Complete")}
    for _ in range(4):
        product.world.pass_deliveries(timedelta(minutes=16))
        assert not product.run_requested(product.tick(SENSOR)).success, "each quarter of an hour it is tried again"
    (fresh,) = product.world.add("fresh@example.com")
    product.run_requested(product.tick(SENSOR))
    assert product.world.status(fresh) == ("Complete", "Complete"), "nobody waits for the one that is stuck"


def test_many_that_can_not_be_claimed_again_and_again_are_a_database_that_refuses(product: Product) -> None:
    product.world.add(*(f"p{number}@example.com" for number in range(12)))
    product.world.execute("ALTER TABLE contacts ADD CHECK (email NOT LIKE 'p%') NOT VALID")
    for _ in range(2):
        assert not product.run_requested(product.tick(SENSOR)).success
        product.world.pass_deliveries(timedelta(minutes=16))
    assert wait_in(product.tick(SENSOR)), "that they are due again is not an achievement"
