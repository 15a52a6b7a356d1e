"""A contact is found by its address, however it is written in its row: PostgreSQL and Python agree."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crm_sync_pipeline.contact_queue.database.addresses import key_of, may_be_address, parameters_for
from crm_sync_pipeline.contact_queue.people.selection import SelectionError
from crm_sync_pipeline.domain.address import normal_form, search_key
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.sandbox.postgres import EmbeddedPostgres
from crm_sync_pipeline_tests.builders import World

AS_WRITTEN = (
    "Jane.Doe@Example.com",
    "  jane.doe@example.com",
    "jane.doe@example.com\r",
    "jane.doe@example.com\r\n",
    "\tjane.doe@example.com",
    "\xa0jane.doe@example.com\u3000",
    "\ufeffjane.doe@example.com\u200b",
    "jane\u00ad.doe@exam\u200bple.com",
    "jane.doe@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0e\uff23\uff2f\uff2d",
    "jane.doe@example。com",
)
OTHERS = (
    *(
        "xjane.doe@example.com",
        "jane.doe@example.co",
        "jane doe@example.com",
        "janedoe@example.com",
        "jane.doe@exämple.com",
    ),
    *("jané.doe@example.com", "jane.doe@example.com.ü", "jane.doe@", "jane.doe", ""),
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20) | st.text(
    st.sampled_from(list("aA@@.-üÜßς\u212aİ\u0131I。\uff0e\u00ad\u200b\u200c\u200d\ufeff\xa0 \t\r\x1f\u3000")),
    max_size=12,
)


@pytest.mark.parametrize("written", AS_WRITTEN, ids=ascii)
@pytest.mark.parametrize("asked", ["jane.doe@example.com", " JANE.DOE@example.com\u200b\r"], ids=ascii)
def test_a_contact_is_found_by_its_address_however_that_is_written(world: World, written: str, asked: str) -> None:
    (contact, *_) = world.add(written, *OTHERS, selected=False)
    assert world.database.selection().find(asked) == contact
    assert world.database.selection().find(written) == contact


@pytest.mark.parametrize("written", ["INFO@MÜLLER.de", "info@mu\u0308ller。de", "info@xn--mller-kva.de"], ids=ascii)
@pytest.mark.parametrize("asked", ["info@müller.de", "Info@XN--MLLER-KVA.de", "\xa0info@MÜLLER.DE"], ids=ascii)
def test_an_international_domain_is_found_in_each_of_its_forms(world: World, written: str, asked: str) -> None:
    (contact, *_) = world.add(written, "info@muller.de", "info@mueller.de", "xinfo@müller.de", selected=False)
    assert world.database.selection().find(asked) == contact


def test_several_rows_with_one_address_are_several_however_they_are_written(world: World) -> None:
    world.add("info@müller.de", "info@xn--mller-kva.de\r", selected=False)
    with pytest.raises(SelectionError, match="2 contacts have that address"):
        world.database.selection().find("INFO@MÜLLER.DE")


def test_an_address_that_can_not_be_sent_is_found_as_it_stands(world: World) -> None:
    contact, other = world.add("josé@example.com", "jose@example.com", selected=False)
    assert world.database.selection().find("JOSé@example.com") == contact
    assert world.database.selection().find("jose@example.com") == other
    with pytest.raises(CrmSyncError, match="There is no contact"):
        world.database.selection().find("jos@example.com")


@pytest.fixture(scope="module")
def connection(module_world: World) -> Iterator[sa.Connection]:
    with module_world.engine.connect() as connected:
        yield connected


FIND = sa.select(may_be_address(sa.bindparam("email", type_=sa.Text)))
KEY = sa.select(key_of(sa.bindparam("email", type_=sa.Text)))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=texts, asked=texts, around=texts)
@example(written="I@x.com", asked="i@x.com", around="")
@example(written="\u212a@x.com", asked="k@x.com", around="")
def test_postgresql_finds_every_row_that_python_says_has_the_address(
    connection: sa.Connection, written: str, asked: str, around: str
) -> None:
    assert connection.execute(KEY, {"email": written}).scalar_one() == search_key(written)
    for row, text in ((written, asked), (f"{around}@{written}", f"{around}@{asked}"), (written, normal_form(written))):
        is_found = connection.execute(FIND, {"email": row, **parameters_for(text)}).scalar_one()
        assert is_found or normal_form(row) != normal_form(text)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_the_encoding_of_the_database_makes_no_difference(postgres: EmbeddedPostgres, encoding: str) -> None:
    name = f"addresses_{encoding.lower()}"
    engine = sa.create_engine(postgres.url_of("postgres").replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        admin.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    engine.dispose()
    world = World(postgres.url_of(name))
    world.upgrade()
    (contact,) = world.add("\tJANE.IIDA@Example.com\r", selected=False)
    assert world.database.selection().find("jane.iida@example.com\u200b") == contact
    world.engine.dispose()
    postgres.drop_database(name)
