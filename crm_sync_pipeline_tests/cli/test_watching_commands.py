"""crm-sync alert, metrics, prune and forget, as their users call them."""

import logging
import socket

import httpx
import pytest

from crm_sync_pipeline_tests.builders import one_run
from crm_sync_pipeline_tests.cli.conftest import Command, Shop
from crm_sync_pipeline_tests.monitoring.alert_receivers import mail_server, webhook
from crm_sync_pipeline_tests.monitoring.test_metrics import families


def test_alert_test_tries_each_channel_and_says_what_came_of_it(
    crm_sync: Command, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    nothing = crm_sync("alert", "test")
    assert (nothing.code, nothing.out.startswith("Neither CRM_SYNC_ALERT_WEBHOOK_URL nor")) == (1, True)
    with webhook() as hook, mail_server() as mails:
        monkeypatch.setenv("CRM_SYNC_ALERT_WEBHOOK_URL", hook.url)
        monkeypatch.setenv("CRM_SYNC_SMTP_URL", mails.url)
        half = crm_sync("alert", "test")
        assert half.code == 1
        assert half.out.endswith("no mail is sent. Set CRM_SYNC_ALERT_EMAIL_TO too.\n")
        monkeypatch.setenv("CRM_SYNC_ALERT_EMAIL_TO", "ops@example.com,boss@example.com")
        both = crm_sync("alert", "test")
        assert both.code == 0
        assert both.out == "The webhook at 127.0.0.1 took the test.\nThe e-mail at 127.0.0.1 took the test.\n"
        assert "nothing is wrong" in hook.got[-1]
        assert "nothing is wrong" in mails.got[-1]
        hook.refuses = True
        refused = crm_sync("alert", "test")
        assert refused.code == 1
        assert "The webhook at 127.0.0.1 answered 503." in refused.out
        assert "sesame" not in refused.out + refused.err + caplog.text, "the path of a webhook is a secret"


def test_alert_list_says_what_is_wrong_now(crm_sync: Command, shop: Shop) -> None:
    assert crm_sync("alert", "list").out == "Nothing is wrong.\n"
    shop.world.queue().breaker.open("wrong_api_key", "Brevo refused BREVO_API_KEY.")
    said = crm_sync("alert", "list").out
    assert said.startswith("down:brevo  Brevo is down: Brevo refused BREVO_API_KEY.")
    assert [each["name"] for each in crm_sync("alert", "list", "--json").json["wrong_now"]] == ["down:brevo"]


def test_metrics_are_printed_once_or_served_until_interrupted(
    crm_sync: Command, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.world.add("anna@example.com")
    printed = crm_sync("metrics").out
    assert 'crm_sync_contacts{crm="brevo",state="due"} 1.0' in printed
    assert printed.endswith("# EOF\n")
    assert "crm_sync_up" in {family.name for family in families(printed)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scraped: list[str] = []

    def scrape_and_leave() -> None:
        scraped.append(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text)
        raise KeyboardInterrupt

    monkeypatch.setattr("crm_sync_pipeline.cli.metrics._wait", scrape_and_leave)
    served = crm_sync("metrics", "--serve", "--port", port)
    assert served.out == f"Metrics are at http://127.0.0.1:{port}/metrics until you press Ctrl-C.\n"
    assert 'state="due"' in scraped[0]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = crm_sync("metrics", "--serve", "--port", taken.getsockname()[1])
    assert (refused.code, "can't be served" in refused.err) == (1, True)
    monkeypatch.delenv("DATABASE_URL")
    assert crm_sync("metrics").code == 2


def test_forget_and_prune_say_what_they_removed_and_what_is_left_to_do(crm_sync: Command, shop: Shop) -> None:
    anna, bert = shop.world.add("anna@example.com", "bert@example.com")
    one_run(shop.world.queue())
    said = crm_sync("forget", "Anna@Example.com").out
    assert said.startswith(f"Removed 1 deliveries and 1 attempts of contact {anna}. Its row in your contacts table")
    assert said.endswith("both are yours to delete. At Brevo it is 1.\n")
    assert "@" not in said
    shop.world.execute("DELETE FROM contacts WHERE id = :id", id=bert)
    assert "1 attempts and 1 deliveries" in crm_sync("prune", "--dry-run").out
    assert crm_sync("prune").out.startswith("Removed 0 attempts older than 90 days, and of contacts that are gone 1")
    assert shop.world.value("SELECT count(*) FROM crm_sync.attempts") == 0
