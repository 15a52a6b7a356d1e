"""A row that PostgreSQL will not write ends alone: its neighbours are recorded, and the queue goes on."""

from datetime import timedelta

from crm_sync_pipeline.domain.transition import Ending
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline_tests.builders import LEASE, World, attempt

REFUSES = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'this row is frozen' USING ERRCODE = 'check_violation'; END $$;
    CREATE TRIGGER frozen BEFORE UPDATE ON contacts FOR EACH ROW WHEN (OLD.name = 'frozen') EXECUTE FUNCTION refuse();
"""


def test_a_row_that_does_not_take_its_result_ends_in_error_alone(world: World) -> None:
    addresses = [f"c{number}@example.com" for number in range(9)]
    poison, *healthy = world.add("poison@example.com", *addresses)
    world.script("ALTER TABLE contacts ADD CHECK (brevo_contact_id <> 'poison@example.com')")
    queue = world.queue()
    token = queue.claim(10).token
    queue.journal(token, [attempt(contact) for contact in queue.contacts_of(token)])
    settled = queue.settle(token)
    assert settled.endings == {Ending.COMPLETE: 9, Ending.ERROR: 1}
    assert {world.status(contact) for contact in healthy} == {("Complete", "Complete")}
    assert world.status(poison) == ("Error", "Error")
    error = world.contact(poison)["brevo_processing_error"]
    assert error.startswith("not_recorded: the contacts table refused the result: new row for relation")
    assert "poison@example.com" not in error
    (group,) = world.database.report().errors(queue.crm)
    assert (group.reason, group.count) == ("not_recorded", 1)


def test_a_row_that_takes_no_update_at_all_does_not_hold_up_the_queue(world: World) -> None:
    frozen, healthy = world.add("frozen@example.com", "healthy@example.com")
    queue = world.queue()
    token = queue.claim(2).token
    queue.journal(token, [attempt(contact) for contact in queue.contacts_of(token)])
    world.script("UPDATE contacts SET name = 'frozen' WHERE email = 'frozen@example.com'")
    world.script(REFUSES)
    world.pass_deliveries(LEASE)
    (later,) = world.add("later@example.com")
    batch = queue.claim(10)
    assert [contact.id for contact in queue.contacts_of(batch.token)] == [later]
    assert world.status(healthy) == ("Complete", "Complete")
    assert world.status(frozen) == ("Processing", "Processing")
    assert queue.recover().total == 0, "it is put aside, for an hour"
    world.script("DROP TRIGGER frozen ON contacts")
    world.pass_time(timedelta(hours=1))
    queue.recover()
    assert world.status(frozen) == ("Queued", "Queued"), "its name was edited, so it goes out again"


def test_an_address_longer_than_its_column_is_named_by_the_check(world: World) -> None:
    world.script("ALTER TABLE contacts ALTER COLUMN brevo_contact_id TYPE varchar(64)")
    (finding,) = [finding for finding in world.database.check() if finding.ok is False]
    assert finding.subject == "Brevo: brevo_contact_id"
    assert "character varying(64)" in finding.detail
    world.script(finding.remedy)
    assert all(finding.ok is not False for finding in world.database.check())


def test_bytes_that_are_no_text_in_a_database_without_an_encoding_hurt_nobody(
    postgres: EmbeddedPostgres, empty: World
) -> None:
    without_transaction = empty.engine.execution_options(isolation_level="AUTOCOMMIT")
    with without_transaction.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE raw ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    world = World(postgres.url_of("raw"))
    world.upgrade()
    (contact, _) = world.add("a@example.com", "b@example.com")
    world.script("UPDATE contacts SET name = E'Andr\\351 Caf\\303\\251' WHERE email = 'a@example.com'")
    queue = world.queue()
    token = queue.claim(2).token
    assert {each.name for each in queue.contacts_of(token)} == {"Andr\ufffd Café", None}
    queue.journal(token, [attempt(each) for each in queue.contacts_of(token)])
    assert queue.settle(token).endings == {Ending.COMPLETE: 2}
    assert world.value("SELECT octet_length(name) FROM contacts WHERE id = :id", id=contact) == 11, "left as it was"
    world.engine.dispose()
    postgres.drop_database("raw")
