import itertools
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from dagster._utils.schedules import cron_string_iterator
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.destinations import DESTINATIONS, load_settings
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.brevo.settings import BrevoSettings
from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.destinations.hubspot.settings import HubspotSettings
from crm_sync_pipeline.destinations.mautic.settings import MauticSettings
from crm_sync_pipeline.destinations.n8n.settings import N8nSettings
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.settings import Settings, SettingsError, SyncSettings
from crm_sync_pipeline.settings.base import FromEnvironment

CRMS = ("brevo", "hubspot", "mautic", "n8n")
INTERVALS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440)
SECRETS = (
    "DATABASE_URL",
    "CRM_SYNC_DATABASE_URL",
    "BREVO_API_KEY",
    "HUBSPOT_API_KEY",
    "MAUTIC_CLIENT_SECRET",
    "N8N_WEBHOOK_SECRET",
)
SECRET_URLS = {
    "CRM_SYNC_ALERT_WEBHOOK_URL": "https://hooks.example.com/hunter2",
    "CRM_SYNC_SMTP_URL": "smtps://me:hunter2@mail.example.com",
    "N8N_WEBHOOK_URL": "https://n8n.example.com/webhook/hunter2?x=1",
}

Read = Callable[[Settings], Any]

READ_SECRET_URL: dict[str, tuple[Read, str]] = {
    "CRM_SYNC_ALERT_WEBHOOK_URL": (lambda s: s.alerts, "alert_webhook_url"),
    "CRM_SYNC_SMTP_URL": (lambda s: s.alerts, "smtp_url"),
    "N8N_WEBHOOK_URL": (lambda s: s.of(N8nSettings), "webhook_url"),
}

# name, default, how to read it, a value that is not the default, what it is read as
PLAIN: list[tuple[str, object, Read, str, object]] = [
    ("CRM_SYNC_CONTACTS_TABLE", "contacts", lambda s: s.general.crm_sync_contacts_table, "app.people", "app.people"),
    ("CRM_SYNC_LEASE_SECONDS", 300, lambda s: s.general.crm_sync_lease_seconds, "600", 600),
    ("CRM_SYNC_LAG_LIMIT_MINUTES", 15, lambda s: s.general.crm_sync_lag_limit_minutes, "60", 60),
    ("CRM_SYNC_ERROR_LIMIT_PERCENT", 5, lambda s: s.general.crm_sync_error_limit_percent, "0.5", 0.5),
    ("CRM_SYNC_OWNER", "team:crm-sync", lambda s: s.general.crm_sync_owner, "jo@example.com", "jo@example.com"),
    ("CRM_SYNC_ALERT_EMAIL_TO", None, lambda s: s.alerts.alert_email_to, "a@x.io,b@x.io", "a@x.io,b@x.io"),
    ("CRM_SYNC_ALERT_EMAIL_FROM", None, lambda s: s.alerts.alert_email_from, "a@x.io", "a@x.io"),
    ("CRM_SYNC_FAILED_RUNS_LIMIT", 3, lambda s: s.alerts.failed_runs_limit, "5", 5),
    ("CRM_SYNC_UI_URL", None, lambda s: s.alerts.ui_url, "https://dagster.example.com/", "https://dagster.example.com"),
    ("CRM_SYNC_HISTORY_DAYS", 90, lambda s: s.history.history_days, "30", 30),
    ("CRM_SYNC_RUN_HISTORY_DAYS", 30, lambda s: s.history.run_history_days, "7", 7),
    ("BREVO_LIST_ID", None, lambda s: s.of(BrevoSettings).list_id, " 12 ", 12),
    (
        "BREVO_API_BASE_URL",
        "https://api.brevo.com/v3",
        lambda s: s.of(BrevoSettings).api_base_url,
        "http://127.0.0.1:8099/v3/",
        "http://127.0.0.1:8099/v3",
    ),
    ("BREVO_REQUESTS_PER_SECOND", 10.0, lambda s: s.of(BrevoSettings).requests_per_second, "0.5", 0.5),
    ("BREVO_CONCURRENCY", 8, lambda s: s.of(BrevoSettings).concurrency, "64", 64),
    ("BREVO_PHONE_REGION", None, lambda s: s.of(BrevoSettings).phone_region, "de", "DE"),
    (
        "HUBSPOT_API_BASE_URL",
        "https://api.hubapi.com",
        lambda s: s.of(HubspotSettings).api_base_url,
        "https://[::1]:8080",
        "https://[::1]:8080",
    ),
    (
        "HUBSPOT_CUSTOM_PROPERTY_DOMAIN_ID",
        "scrapersky_domain_id",
        lambda s: s.of(HubspotSettings).custom_property_domain_id,
        "d",
        "d",
    ),
    (
        "HUBSPOT_CUSTOM_PROPERTY_PAGE_ID",
        "scrapersky_page_id",
        lambda s: s.of(HubspotSettings).custom_property_page_id,
        "p",
        "p",
    ),
    (
        "HUBSPOT_CUSTOM_PROPERTY_SYNC_DATE",
        "scrapersky_sync_date",
        lambda s: s.of(HubspotSettings).custom_property_sync_date,
        "t",
        "t",
    ),
    (
        "MAUTIC_BASE_URL",
        None,
        lambda s: s.of(MauticSettings).base_url,
        "https://mautic.example.com",
        "https://mautic.example.com",
    ),
    ("MAUTIC_CLIENT_ID", None, lambda s: s.of(MauticSettings).client_id, "me", "me"),
]

SYNC: list[tuple[str, object, str, str, object]] = [
    ("SCHEDULER_INTERVAL_MINUTES", 5, "scheduler_interval_minutes", "30", 30),
    ("SCHEDULER_BATCH_SIZE", 10, "scheduler_batch_size", "250", 250),
    ("SCHEDULER_MAX_INSTANCES", 1, "scheduler_max_instances", "3", 3),
    ("SENSOR_BATCH_LIMIT", 500, "sensor_batch_limit", "1000", 1000),
    ("MAX_RETRIES", 3, "max_retries", "0", 0),
    ("RETRY_DELAY_MINUTES", 5, "retry_delay_minutes", "1", 1),
    ("RETRY_EXPONENTIAL", True, "retry_exponential", "false", False),
    ("RETRY_REJECTED", True, "retry_rejected", "0", False),
]


def of_sync(crm: str, field: str) -> Read:
    return lambda settings: getattr(settings.sync[crm], field)


EVERY = PLAIN + [
    (f"{crm.upper()}_SYNC_{name}", default, of_sync(crm, field), text, value)
    for crm in CRMS
    for name, default, field, text, value in SYNC
]
IDS = [row[0] for row in EVERY]

READ_SECRET: dict[str, Read] = {
    "DATABASE_URL": lambda s: s.general.database_url,
    "CRM_SYNC_DATABASE_URL": lambda s: s.general.crm_sync_database_url,
    "BREVO_API_KEY": lambda s: s.of(BrevoSettings).api_key,
    "HUBSPOT_API_KEY": lambda s: s.of(HubspotSettings).api_key,
    "MAUTIC_CLIENT_SECRET": lambda s: s.of(MauticSettings).client_secret,
    "N8N_WEBHOOK_SECRET": lambda s: s.of(N8nSettings).webhook_secret,
}


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    return str(refused.value)


@pytest.mark.parametrize(("name", "default", "read", "text", "value"), EVERY, ids=IDS)
def test_a_setting_has_its_default_and_follows_its_variable_alone(
    monkeypatch: pytest.MonkeyPatch, name: str, default: object, read: Read, text: str, value: object
) -> None:
    unset = load_settings()
    assert read(unset) == default
    monkeypatch.setenv(name, text)
    changed = load_settings()
    assert read(changed) == value
    others = [row for row in EVERY if row[0] != name]
    assert [row[2](changed) for row in others] == [row[1] for row in others]


@pytest.mark.parametrize("blank", ["", " ", "\t \n"])
def test_a_blank_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    unset = load_settings()
    for name in (*IDS, *SECRETS):
        monkeypatch.setenv(name, blank)
    assert load_settings() == unset


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_unset_by_default_and_shows_nowhere(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    read = READ_SECRET[name]
    assert read(load_settings()) is None
    monkeypatch.setenv(name, "hunter2")
    found = load_settings()
    assert read(found).get_secret_value() == "hunter2"
    assert "hunter2" not in f"{found!r} {found} {found.general} {[*found.destinations.values()]}"


WRONG: list[tuple[str, str, str]] = [
    *[
        ("BREVO_LIST_ID", value, "it must be the whole number")
        for value in ("abc", "0", "-3", "1.5", "3,4", "1_0", "٣")
    ],
    *[
        (name, value, "it must start with http:// or https:// and name a host, such as https://")
        for name in ("BREVO_API_BASE_URL", "HUBSPOT_API_BASE_URL", "MAUTIC_BASE_URL")
        for value in ("api.brevo.com/v3", "ftp://x", "https://", "http:///v3", "http://h:port/v3", "http://h:99999")
    ],
    ("CRM_SYNC_ALERT_EMAIL_TO", "a@x.io, b", "it must be an e-mail address"),
    ("CRM_SYNC_UI_URL", "dagster.example.com", "it must start with http:// or https://"),
    ("BREVO_API_BASE_URL", "https://a b/v3", "it must start with"),
    ("BREVO_API_BASE_URL", "http://[::1/v3", "it must start with"),
    ("BREVO_API_BASE_URL", "https://api.brevo.com/v3?x=1", "it must start with"),
    ("BREVO_PHONE_REGION", "Germany", "it must be a country's two letters, such as US or DE"),
    ("BREVO_PHONE_REGION", "XX", "it must be a country's two letters"),
    ("BREVO_REQUESTS_PER_SECOND", "0", "greater than 0"),
    ("BREVO_REQUESTS_PER_SECOND", "-1", "greater than 0"),
    ("BREVO_REQUESTS_PER_SECOND", "nan", "less than or equal to 10000"),
    ("BREVO_REQUESTS_PER_SECOND", "inf", "less than or equal to 10000"),
    ("BREVO_REQUESTS_PER_SECOND", "fast", "it must be a number"),
    ("BREVO_CONCURRENCY", "0", "greater than or equal to 1"),
    ("BREVO_CONCURRENCY", "65", "less than or equal to 64"),
    ("CRM_SYNC_LEASE_SECONDS", "5", "greater than or equal to 60"),
    ("CRM_SYNC_LAG_LIMIT_MINUTES", "0", "greater than or equal to 1"),
    ("CRM_SYNC_ERROR_LIMIT_PERCENT", "0", "greater than 0"),
    *[("CRM_SYNC_OWNER", value, "it must be an e-mail address or team: and a name") for value in ("Jo", "team:")],
    ("CRM_SYNC_CONTACTS_TABLE", "a.b.c", "it must be a table's name or schema.table"),
    ("CRM_SYNC_CONTACTS_TABLE", 'x"; DROP TABLE y', "it must be a table's name or schema.table"),
]
for crm in ("BREVO", "N8N"):
    WRONG += [
        *[
            (f"{crm}_SYNC_SCHEDULER_INTERVAL_MINUTES", value, "it must divide an hour or a day evenly: 1, 2, 3")
            for value in ("7", "45", "59", "90", "1000")
        ],
        (f"{crm}_SYNC_SCHEDULER_INTERVAL_MINUTES", "0", "greater than or equal to 1"),
        (f"{crm}_SYNC_SCHEDULER_INTERVAL_MINUTES", "1441", "less than or equal to 1440"),
        (f"{crm}_SYNC_SCHEDULER_BATCH_SIZE", "0", "greater than or equal to 1"),
        (f"{crm}_SYNC_SCHEDULER_BATCH_SIZE", "ten", "it must be a whole number"),
        (f"{crm}_SYNC_SCHEDULER_MAX_INSTANCES", "-1", "greater than or equal to 1"),
        (f"{crm}_SYNC_SENSOR_BATCH_LIMIT", "0", "greater than or equal to 1"),
        (f"{crm}_SYNC_MAX_RETRIES", "-1", "greater than or equal to 0"),
        (f"{crm}_SYNC_MAX_RETRIES", "1.5", "it must be a whole number"),
        (f"{crm}_SYNC_RETRY_DELAY_MINUTES", "0", "greater than or equal to 1"),
        (f"{crm}_SYNC_RETRY_EXPONENTIAL", "maybe", "it must be true or false"),
        (f"{crm}_SYNC_RETRY_REJECTED", "2", "it must be true or false"),
    ]


@pytest.mark.parametrize(("name", "value", "right"), WRONG, ids=[f"{row[0]}={row[1]}" for row in WRONG])
def test_a_wrong_value_is_refused_by_name_with_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, right: str
) -> None:
    said = refusal(monkeypatch, **{name: value})
    assert said.startswith(f"{name} is '{value}': ")
    assert right in said
    assert said.endswith(".")
    assert "\n" not in said


def test_several_wrong_values_are_all_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"BREVO_LIST_ID": "x", "HUBSPOT_SYNC_MAX_RETRIES": "y", "CRM_SYNC_LEASE_SECONDS": "z"}
    said = refusal(monkeypatch, **wrong)
    assert all(f"{name} is '{value}'" in said for name, value in wrong.items())


@pytest.mark.parametrize("key", ["two words", "\u2018quoted\u2019", "line\nbreak"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    said = refusal(monkeypatch, BREVO_API_KEY=key)
    assert said.startswith("BREVO_API_KEY: it must be one word")
    assert key not in said


@pytest.mark.parametrize("name", SECRET_URLS)
def test_a_url_that_holds_a_secret_shows_nowhere_also_when_it_is_wrong(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, SECRET_URLS[name])
    found = load_settings()
    assert "hunter2" not in f"{found!r} {found} {found.alerts} {[*found.destinations.values()]}"
    group, field = READ_SECRET_URL[name]
    assert "hunter2" in getattr(group(found), field).get_secret_value()
    said = refusal(monkeypatch, **{name: "ftp://hunter2"})
    assert said.startswith(f"{name}: it must")
    assert "hunter2" not in said


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "on"])
def test_yes_and_no_may_be_written_in_the_usual_ways(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BREVO_SYNC_RETRY_EXPONENTIAL", text)
    assert load_settings().sync["brevo"].retry_exponential is True


@pytest.mark.parametrize("minutes", INTERVALS)
def test_an_interval_becomes_a_cron_expression_with_that_very_interval(
    monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    monkeypatch.setenv("BREVO_SYNC_SCHEDULER_INTERVAL_MINUTES", str(minutes))
    cron = load_settings().sync["brevo"].cron
    midnight = datetime(2026, 3, 1, tzinfo=timezone.utc)
    ticks = cron_string_iterator(midnight.timestamp(), cron, "UTC")
    times = [next(ticks) for _ in range(1440 // minutes + 1)]
    assert times[0] == midnight
    gaps = {(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)}
    assert gaps == {minutes * 60}, "also across the hour and the day"


def test_only_these_intervals_are_taken() -> None:
    def is_taken(minutes: int) -> bool:
        try:
            return bool(SyncSettings(scheduler_interval_minutes=minutes))
        except ValueError:
            return False

    near = {minutes + beside for minutes in INTERVALS for beside in (-1, 0, 1)}
    assert tuple(filter(is_taken, sorted({*range(-1, 62), *range(65, 1500, 5), *near}))) == INTERVALS


def test_a_dotenv_file_in_the_working_folder_counts_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("BREVO_API_KEY=from-file\nBREVO_LIST_ID=4\nUNKNOWN=1\nBREVO_SYNC_MAX_RETRIES=\n", "utf-8")
    monkeypatch.setenv("BREVO_LIST_ID", "5")
    found = load_settings()
    brevo = found.of(BrevoSettings)
    assert brevo.api_key is not None
    assert brevo.api_key.get_secret_value() == "from-file"
    assert brevo.list_id == 5
    assert found.sync["brevo"].max_retries == 3


@pytest.mark.parametrize("dotenv", [False, True])
@pytest.mark.parametrize(
    ("ours", "shared", "read", "variable"),
    [
        ("postgres://ours", "postgres://shared", "postgres://ours", "CRM_SYNC_DATABASE_URL"),
        ("postgres://ours", "", "postgres://ours", "CRM_SYNC_DATABASE_URL"),
        (" ", "postgres://shared", "postgres://shared", "DATABASE_URL"),
        ("", "postgres://shared", "postgres://shared", "DATABASE_URL"),
        ("", "", None, "DATABASE_URL"),
    ],
)
def test_our_own_variable_of_the_database_wins_wherever_it_is_set(
    monkeypatch: pytest.MonkeyPatch, dotenv: bool, ours: str, shared: str, read: str | None, variable: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", shared)
    if dotenv:
        Path(".env").write_text(f"CRM_SYNC_DATABASE_URL={ours}\n", "utf-8")
    else:
        monkeypatch.setenv("CRM_SYNC_DATABASE_URL", ours)
    general = load_settings().general
    assert (general.database.get_secret_value() if general.database else None) == read
    assert general.database_variable == variable


AROUND = ("{}\r", " {} ", '"{}"', "'{}'", "\"'{}'\"", '"{}"\r', '" {} "', "\ufeff{}", "{}\u200b", "\xa0{}\t")


@pytest.mark.parametrize("around", AROUND, ids=ascii)
@pytest.mark.parametrize(("name", "default", "read", "text", "value"), EVERY, ids=IDS)
def test_what_is_around_a_value_is_no_part_of_it_whichever_setting_it_is(
    monkeypatch: pytest.MonkeyPatch, name: str, default: object, read: Read, text: str, value: object, around: str
) -> None:
    monkeypatch.setenv(name, around.format(text))
    assert read(load_settings()) == value != default


@pytest.mark.parametrize("around", AROUND, ids=ascii)
@pytest.mark.parametrize("name", SECRETS)
def test_what_is_around_a_secret_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch, name: str, around: str) -> None:
    monkeypatch.setenv(name, around.format("s3cret"))
    assert READ_SECRET[name](load_settings()).get_secret_value() == "s3cret"


@pytest.mark.parametrize("text", ['""', "''", "\"'\u200b'\"", "\r", '" "'], ids=ascii)
def test_nothing_in_quotes_counts_as_unset(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    unset = load_settings()
    for name in (*IDS, *SECRETS):
        monkeypatch.setenv(name, text)
    assert load_settings() == unset


@pytest.mark.parametrize("text", ["'", '"', "it's", "\"a'", 'a"b"c'])
def test_a_quote_that_is_not_around_a_value_belongs_to_it(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("N8N_WEBHOOK_SECRET", text)
    assert READ_SECRET["N8N_WEBHOOK_SECRET"](load_settings()).get_secret_value() == text


LINES = "# für Brevo\nBREVO_LIST_ID=4\nBREVO_API_KEY='from file'\nBREVO_SKIP_UNCHANGED=true\n"


@pytest.mark.parametrize("text", [LINES, LINES[LINES.index("BREVO_L") :]], ids=["comment first", "setting first"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=ascii)
def test_a_dotenv_file_may_begin_with_a_byte_order_mark_and_end_its_lines_in_any_way(
    text: str, encoding: str, line_end: str
) -> None:
    Path(".env").write_bytes(text.replace("'from file'", '"key"').replace("\n", line_end).encode(encoding))
    brevo = load_settings().of(BrevoSettings)
    assert (brevo.list_id, brevo.skip_unchanged) == (4, True)
    assert brevo.api_key is not None
    assert brevo.api_key.get_secret_value() == "key"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (LINES.encode("latin-1"), "is not a text file in UTF-8"),
        (LINES.encode("cp1252"), "is not a text file in UTF-8"),
        (LINES.encode("utf-16"), "is in UTF-16, not in UTF-8"),
        (LINES.encode("utf-16-be"), "is in UTF-16, not in UTF-8"),
        (b"\xfe\xff" + LINES.encode("utf-16-be"), "is in UTF-16, not in UTF-8"),
        ("BREVO_LIST_ID=4\n".encode("utf-16-le"), "is in UTF-16, not in UTF-8"),
        (b"BREVO_LIST_ID=4\n\xff", "is not a text file in UTF-8"),
    ],
)
def test_a_dotenv_file_in_another_encoding_is_refused_in_one_sentence(content: bytes, what: str) -> None:
    Path(".env").write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value) == f".env {what}, so no setting was read. Save it again with the encoding UTF-8."


def test_a_wrong_value_in_a_dotenv_file_is_named_too() -> None:
    Path(".env").write_text("BREVO_LIST_ID=main list\n", "utf-8")
    with pytest.raises(SettingsError, match="BREVO_LIST_ID is 'main list'"):
        load_settings()


def test_settings_do_not_change_once_they_are_read() -> None:
    found = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        found.of(BrevoSettings).list_id = 4  # type: ignore[misc] # what is tried here


@pytest.mark.parametrize("name", ["BREVO_API_BASE_URL", "HUBSPOT_API_BASE_URL", "MAUTIC_BASE_URL", "CRM_SYNC_UI_URL"])
def test_an_address_with_a_password_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    said = refusal(monkeypatch, **{name: "https://me:hunter2@proxy.example.com/x"})
    assert said.startswith(f"{name}: it must hold no user and no password")
    assert "hunter2" not in said


def test_no_refusal_names_a_vendor_to_the_users_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dict.fromkeys(("HUBSPOT_API_BASE_URL", "MAUTIC_BASE_URL", "N8N_WEBHOOK_URL", "CRM_SYNC_UI_URL"), "n8n")
    assert "brevo" not in refusal(monkeypatch, **wrong).lower()


def test_a_destination_of_another_package_has_its_settings_read_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    class AcmeSettings(FromEnvironment):
        model_config = SettingsConfigDict(env_prefix="ACME_")

        token: SecretStr | None = None

    monkeypatch.setenv("ACME_TOKEN", "hunter2")
    monkeypatch.setenv("ACME_SYNC_MAX_RETRIES", "7")
    found = load_settings({**DESTINATIONS, "acme": Entry(Crm("acme", "Acme", "acme_id"), AcmeSettings, lambda: Brevo)})
    token = found.of(AcmeSettings).token
    assert token is not None
    assert token.get_secret_value() == "hunter2"
    assert (found.sync["acme"].max_retries, found.sync["brevo"].max_retries) == (7, 3)
