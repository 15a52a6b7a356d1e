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
from crm_sync_pipeline_tests.orchestration.refusals import REFUSALS, Site, site
from crm_sync_pipeline_tests.product import Product

SCHEDULE, SENSOR = "brevo_sync_schedule", "brevo_queue_sensor"
TICK = timedelta(seconds=5)
NEXT_RUN = re.compile(r"The next run starts in (\d+) s\. To try at once, launch brevo_sync by hand in the UI\.$")


@pytest.fixture
def refusing(product: Product) -> Iterator[Site]:
    with site(product) as made:
        yield made


def wait_in(answer: dg.RunRequest | dg.SkipReason) -> timedelta | None:
    """How long the tick says that the next run waits."""
    said = NEXT_RUN.search(answer.skip_message or "") if isinstance(answer, dg.SkipReason) else None
    return timedelta(seconds=int(said[1])) if said else None


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
                assert wait_in(answer)
                assert wait_in(refusing.product.tick(SCHEDULE))
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
    with refusing.refuses("a trigger that swallows updates of contacts"):
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
    """Nothing is due: what a dead run holds is left behind."""
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
