import pickle
from datetime import timedelta

import pytest
import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.connection import HALF_OPEN
from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.contact_queue.database.schema import SchemaError
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.destinations import CRMS, load_settings
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.retry import RetryPolicy
from crm_sync_pipeline_tests.builders import World

LOOKS_LIKE = "postgresql://user:password@host:5432/database"


def sentence_for(url: str) -> str:
    with pytest.raises(CrmSyncError) as refused:
        Database(url=url).contacts()
    return str(refused.value)


def test_no_url_says_where_to_set_it_and_what_to_try_instead() -> None:
    sentence = sentence_for("")
    assert sentence.startswith("DATABASE_URL is not set. Nothing was done.")
    assert LOOKS_LIKE in sentence
    assert "./run demo" in sentence


@pytest.mark.parametrize(
    "url",
    [
        "s3cret",
        "s3cret:rest",
        "://s3cret",
        "postgresql://user:s3cret@host:port/database",
        "postgresql://user:s3cret@[::1/database",
    ],
)
def test_what_is_no_url_is_refused_without_showing_it(url: str) -> None:
    sentence = sentence_for(url)
    assert sentence.startswith("DATABASE_URL can't be read as a URL. Nothing was done.")
    assert LOOKS_LIKE in sentence
    assert "s3cret" not in sentence


@pytest.mark.parametrize("kind", ["sqlite", "mysql", "oracle"])
def test_another_database_is_refused_with_the_reason(kind: str) -> None:
    sentence = sentence_for(f"{kind}://user:s3cret@host/contacts")
    assert sentence.startswith(f"DATABASE_URL names {kind}; the queue needs PostgreSQL")
    assert "s3cret" not in sentence


def test_sqlites_own_form_is_refused_too() -> None:
    assert sentence_for("sqlite:///contacts.db").startswith("DATABASE_URL names sqlite;")


def test_a_server_that_does_not_answer_is_named_with_what_to_check() -> None:
    sentence = sentence_for("postgresql://anna:s3cret@127.0.0.1:1/contacts")
    assert sentence.startswith("The database at 127.0.0.1:1 can't be used: ")
    assert sentence.endswith(
        "Nothing was changed. Check DATABASE_URL and that the server runs and lets this machine in."
    )
    assert "refused" in sentence
    assert "s3cret" not in sentence


def test_an_option_in_the_url_that_postgresql_does_not_know_is_named() -> None:
    sentence = sentence_for("postgresql://anna:s3cret@127.0.0.1:1/contacts?shema=s3cret")
    assert sentence.startswith("DATABASE_URL has the option shema, which PostgreSQL's client library")
    assert "s3cret" not in sentence


def test_a_database_that_is_not_there_is_named(world: World) -> None:
    sentence = sentence_for(world.url.replace("/test_", "/no_such_"))
    assert 'database "no_such_' in sentence
    assert "Check DATABASE_URL" in sentence


def test_no_table_says_how_to_name_it_or_have_it_made(empty: World) -> None:
    sentence = sentence_for(empty.url)
    assert sentence.startswith("There is no table contacts in the database. Nothing was done.")
    assert "CRM_SYNC_CONTACTS_TABLE" in sentence
    assert "crm-sync db upgrade" in sentence


@pytest.mark.parametrize("driver", ["postgresql", "postgres", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_the_driver_is_ours_whatever_the_url_names(world: World, driver: str) -> None:
    url = world.url.replace("postgresql", driver, 1)
    assert engine_for(url).dialect.driver == "psycopg"
    assert Database(url=url).contacts().name == "contacts"
    engine_for(url).dispose()


def test_a_session_can_not_wait_or_idle_for_ever(world: World) -> None:
    shown = {name: world.value(f"SHOW {name}") for name in ("statement_timeout", "lock_timeout")}
    assert shown == {"statement_timeout": "30s", "lock_timeout": "5s"}
    assert world.value("SHOW idle_in_transaction_session_timeout") == "1min"
    assert world.value("SHOW transaction_isolation") == "read committed"
    assert world.value("SHOW application_name") == "crm_sync_pipeline"


def test_a_connection_whose_other_end_vanished_is_given_up_in_seconds(world: World) -> None:
    with world.engine.connect() as connection:
        info = connection.connection.driver_connection.info  # type: ignore[union-attr] # psycopg's own
        assert {name: info.get_parameters().get(name) for name in HALF_OPEN} == {
            name: str(value) for name, value in HALF_OPEN.items()
        }


def test_time_outs_that_the_url_names_are_the_users_choice(world: World) -> None:
    url = f"{world.url}&tcp_user_timeout=7000&connect_timeout=3"
    with engine_for(url).connect() as connection:
        parameters = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    assert (parameters["tcp_user_timeout"], parameters["connect_timeout"]) == ("7000", "3")
    engine_for(url).dispose()


def test_a_database_of_an_older_version_names_what_it_lacks_and_what_to_run(fresh: World) -> None:
    fresh.execute("ALTER TABLE crm_sync.deliveries DROP COLUMN late_payload_hash")
    with pytest.raises(SchemaError, match=r"crm_sync.deliveries.late_payload_hash is missing.*`crm-sync db upgrade`"):
        fresh.queue()


def test_repr_does_not_show_the_password() -> None:
    database = Database(url="postgresql://anna:s3cret@127.0.0.1:1/contacts")
    assert "s3cret" not in repr(database)
    assert "s3cret" not in repr(database.engine)


def test_a_queue_without_our_tables_says_what_to_run(fresh: World) -> None:
    fresh.execute("DROP SCHEMA crm_sync CASCADE")
    with pytest.raises(SchemaError, match=r"crm_sync.deliveries.*Nothing was done. Run `crm-sync db upgrade`"):
        fresh.queue()


def test_a_queue_for_columns_that_are_not_there_names_them(brevo_only: World) -> None:
    with pytest.raises(SchemaError, match=r"can't serve HubSpot; nothing was done\. Column hubspot_sync_status"):
        brevo_only.queue("hubspot")


def test_the_retry_policy_is_the_destinations_own(world: World) -> None:
    own = RetryPolicy(7, timedelta(minutes=2), False, False)
    database = Database(url=world.url, policies={"hubspot": own}, crms=CRMS)
    assert database.policy("hubspot") == own
    assert database.policy("brevo") == RetryPolicy()


def test_the_environment_sets_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://anna:s3cret@127.0.0.1:1/contacts")
    monkeypatch.setenv("CRM_SYNC_CONTACTS_TABLE", "app.people")
    monkeypatch.setenv("BREVO_SYNC_MAX_RETRIES", "5")
    monkeypatch.setenv("BREVO_SYNC_RETRY_DELAY_MINUTES", "1")
    database = Database.from_settings(load_settings(), CRMS)
    assert database.contacts_table == "app.people"
    assert database.crms == CRMS
    assert database.policy("brevo") == RetryPolicy(5, timedelta(minutes=1))
    assert database.policy("hubspot") == RetryPolicy()
    assert "s3cret" not in repr(database)


def test_our_own_variable_wins_and_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://anna@127.0.0.1:2/another_program")
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", "postgresql://anna@127.0.0.1:1/contacts")
    database = Database.from_settings(load_settings(), CRMS)
    with pytest.raises(CrmSyncError, match=r"The database at 127.0.0.1:1 .* Check CRM_SYNC_DATABASE_URL and that"):
        database.contacts()
    with pytest.raises(CrmSyncError, match="Check CRM_SYNC_DATABASE_URL and that"):
        Database.from_settings(load_settings(), CRMS).giving_up_after(2).contacts()


def test_a_batch_can_be_pickled_and_holds_no_personal_data(world: World) -> None:
    world.add("anna@example.com")
    stored = pickle.dumps(world.queue().claim(1))
    assert b"anna" not in stored
    assert sa.__name__.encode() not in stored
