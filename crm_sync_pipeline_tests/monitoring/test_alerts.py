"""Alerts reach people once when something goes wrong, and once when it is over: over real HTTP and SMTP."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from crm_sync_pipeline.domain.alerting import Condition, JobHealth
from crm_sync_pipeline.domain.outcome import Failed
from crm_sync_pipeline.monitoring.alerts import Notified, Watch
from crm_sync_pipeline.monitoring.channels import AlertNotSentError, Mail, channels_of
from crm_sync_pipeline.settings import AlertSettings
from crm_sync_pipeline_tests.builders import World, one_run
from crm_sync_pipeline_tests.monitoring.alert_receivers import Receiver, mail_server, webhook

UNREACHABLE = "Brevo did not answer (timeout)."
RED = JobHealth("brevo_sync", failed_in_a_row=3, failed_run_id="run-1")
GREEN = JobHealth("brevo_sync")


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture
def mails() -> Iterator[Receiver]:
    with mail_server() as receiver:
        yield receiver


@pytest.fixture
def watch(world: World, hook: Receiver, mails: Receiver) -> Watch:
    settings = AlertSettings.model_validate(
        {
            "alert_webhook_url": hook.url,
            "alert_email_to": "ops@example.com, boss@example.com",
            "smtp_url": mails.url,
        }
    )
    return Watch(world.database, {"brevo": GREEN}, channels_of(settings), ui_url="http://dagster.example.com")


def look(watch: Watch, evaluators: int = 2) -> list[Notified]:
    """So many evaluators look at the same time."""
    came: list[Notified] = []
    start = threading.Barrier(evaluators)

    def one() -> None:
        start.wait()
        came.append(watch.check_and_notify())

    threads = [threading.Thread(target=one) for _ in range(evaluators)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(came) == evaluators
    return came


def test_a_destination_that_goes_down_for_an_hour_and_comes_back_makes_exactly_two_alerts(
    world: World, watch: Watch, hook: Receiver, mails: Receiver
) -> None:
    world.add("anna@example.com", "bert@example.com")
    queue = world.queue()
    look(watch)
    assert hook.got == []
    queue.breaker.open("timeout", UNREACHABLE)
    for _ in range(6):
        look(replace(watch, jobs_of_crms={"brevo": RED}))
        world.pass_time(timedelta(minutes=10))
        queue.breaker.open("timeout", UNREACHABLE, after_probe=True)
    queue.breaker.close()
    look(replace(watch, jobs_of_crms={"brevo": RED}))  # the probe got through; its run is not done yet, nor the backlog
    one_run(queue)
    for _ in range(3):
        look(watch)
    down, up = hook.got
    assert down.startswith(f"Brevo is down: {UNREACHABLE}")
    assert down.endswith("Run: http://dagster.example.com/runs/run-1")
    assert up == "Brevo answers again. The queue goes on; nothing is left to do."
    assert mails.recipients == ["ops@example.com", "boss@example.com"]
    assert [mail.splitlines()[0] for mail in mails.got] == ["crm-sync: down:brevo", "crm-sync: down:brevo is over"]
    assert world.rows("SELECT * FROM crm_sync.alerts") == []


def test_what_a_channel_did_not_take_is_told_later_and_the_others_hear_it_once(
    world: World, watch: Watch, hook: Receiver, mails: Receiver
) -> None:
    world.queue().breaker.open("timeout", UNREACHABLE)
    mails.refuses = True
    for _ in range(2):
        (one,) = look(watch, evaluators=1)
        (problem,) = one.problems
        assert problem.startswith("The mail server 127.0.0.1 did not take the alert: SMTPDataError 451.")
    assert (len(hook.got), mails.got, mails.attempts) == (1, [], 2)
    mails.refuses = False
    look(watch)
    assert (len(hook.got), len(mails.got)) == (1, 1)


def test_an_alert_that_another_look_has_overtaken_is_not_sent(
    world: World, watch: Watch, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = world.queue()
    queue.breaker.open("timeout", UNREACHABLE)
    stale, true_conditions = watch.conditions(), Watch.conditions
    queue.breaker.close()
    monkeypatch.setattr(Watch, "_conditions", lambda *_: stale)  # what the look began with
    monkeypatch.setattr(Watch, "conditions", lambda one: _undone(monkeypatch, one, true_conditions))
    watch.check_and_notify()
    assert hook.got == []


def _undone(patch: pytest.MonkeyPatch, watch: Watch, conditions: Callable[[Watch], list[Condition]]) -> list[Condition]:
    patch.undo()
    return conditions(watch)


def test_lag_errors_and_lost_leases_are_found_in_the_tables(world: World, watch: Watch, hook: Receiver) -> None:
    world.add(*(f"{n}@example.com" for n in range(20)))
    queue = world.queue()
    for _ in range(4):
        one_run(queue, Failed("http_503", "Brevo answered 503."))
        world.pass_time(timedelta(minutes=41))
    world.add("late@example.com", "lost@example.com")
    world.pass_time(timedelta(minutes=16))
    queue.claim(1, run_id="dead")
    world.pass_deliveries(timedelta(minutes=21))
    watch.check_and_notify()
    assert sorted(text.split(" ")[0:4] for text in hook.got) == [
        ["20", "of", "the", "20"],
        ["A", "contact", "has", "been"],
        ["Contacts", "for", "Brevo", "stand"],
    ]
    assert any(text.endswith("Run: http://dagster.example.com/runs/dead") for text in hook.got)
    assert "@" not in "".join(hook.got)


def test_one_address_that_is_refused_does_not_bring_the_others_a_mail_at_each_look(
    world: World, watch: Watch, mails: Receiver
) -> None:
    world.queue().breaker.open("timeout", UNREACHABLE)
    mails.unknown = ("boss@example.com",)
    for _ in range(2):
        assert watch.check_and_notify().problems == []
    assert (len(mails.got), mails.recipients) == (1, ["ops@example.com"])


def test_a_password_is_never_sent_in_the_clear_and_never_shown(mails: Receiver) -> None:
    port = mails.url.rpartition(":")[2]
    mail = Mail(f"smtp://me:sesame@127.0.0.1:{port}", ["ops@example.com"], "crm@example.com")
    with pytest.raises(AlertNotSentError) as refused:  # this server knows no AUTH
        mail.send("a", "b")
    assert "sesame" not in f"{mail!r} {refused.value}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crm_sync_pipeline.monitoring.channels._is_this_machine", lambda _: False)
        with pytest.raises(AlertNotSentError, match="offers no STARTTLS, and the password would travel in the clear"):
            mail.send("a", "b")
