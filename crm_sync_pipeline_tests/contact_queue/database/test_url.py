"""URLs as hosts, poolers and other clients print them: understood, or refused by the name of the option."""

import re
from typing import Any
from urllib.parse import quote, unquote

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg import pq

from crm_sync_pipeline.contact_queue.database.connection import connect_args
from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError
from crm_sync_pipeline.contact_queue.database.url import DatabaseUrlError, PostgresUrl, parsed
from crm_sync_pipeline.contact_queue.database.url_options import IGNORED, INSTEAD, LIBPQ
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline_tests.builders import World

PLAIN = "postgresql://anna:pw@db.example.com:5432/crm"
ITS_PARTS = ("anna", "pw", "db.example.com", 5432, "crm")


def parts(text: str) -> tuple[str | None, str | None, str | None, int | None, str | None]:
    url = parsed(text).url
    password = str(url.password) if url.password is not None else None
    return (url.username, password, url.host, url.port, url.database)


def options(query: str) -> dict[str, Any]:
    return dict(parsed(f"{PLAIN}?{query}").url.query)


def refusal(text: str) -> str:
    with pytest.raises(DatabaseUrlError) as refused:
        parsed(text)
    return str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        f"{PLAIN}\n",
        f" \t{PLAIN}\r\n",
        f"\ufeff{PLAIN}",
        f"'{PLAIN}'",
        f'"{PLAIN}"\n',
        f" \"'{PLAIN}'\" ",
        f"psql '{PLAIN}'",
        f"jdbc:{PLAIN}",
        *(
            PLAIN.replace("postgresql", scheme)
            for scheme in (
                *("postgres", "POSTGRES", "PostgreSQL", "postgresql+psycopg", "postgresql+psycopg2"),
                *("postgresql+asyncpg", "postgres+pg8000", "postgis", "pgsql", "psql"),
            )
        ),
        "jdbc:postgresql://db.example.com:5432/crm?user=anna&password=pw",
        "postgresql://db.example.com:5432/crm?username=anna&password=pw",
        "host=db.example.com port=5432 dbname=crm user=anna password=pw",
        "  host = 'db.example.com'  port = 5432 dbname=crm user='anna' password=p\\w\n",
    ],
)
def test_what_stands_around_it_and_the_scheme_do_not_matter(text: str) -> None:
    assert parts(text) == ITS_PARTS


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        ("postgres://anna@h/crm", ("anna", None, "h", None, "crm")),
        ("postgres://anna:@h/crm", ("anna", None, "h", None, "crm")),
        ("postgres://:pw@h/crm", ("", "pw", "h", None, "crm")),
        ("postgres://anna:pw@h", ("anna", "pw", "h", None, None)),
        ("postgres://anna:pw@h/", ("anna", "pw", "h", None, None)),
        ("postgres://anna:pw@h:/crm", ("anna", "pw", "h", None, "crm")),
        ("postgres://anna:pw@h:1?sslmode=require", ("anna", "pw", "h", 1, None)),
        ("postgres://anna:pw@/crm", ("anna", "pw", None, None, "crm")),
        ("postgres://anna:pw@:5433/crm", ("anna", "pw", None, 5433, "crm")),
        ("postgres:///crm", (None, None, None, None, "crm")),
        ("postgres://an%40na:p%40%2Fw@h/c%20r%3Fm", ("an@na", "p@/w", "h", None, "c r?m")),
        ("postgres://anna@server:pw@h/crm", ("anna@server", "pw", "h", None, "crm")),
        ("postgres://h:1/crm?user=me@server&password=a+b%2B&sslmode=require", ("me@server", "a+b+", "h", 1, "crm")),
        ("postgres://anna:pw@[::1]:5433/crm", ("anna", "pw", "::1", 5433, "crm")),
        ("postgres://anna:pw@[fe80::1%eth0]/crm", ("anna", "pw", "fe80::1%eth0", None, "crm")),
        ("postgres://anna:pw@my_db-1.internal/crm", ("anna", "pw", "my_db-1.internal", None, "crm")),
        ("host=::1 user=anna password='a b\\'c'", ("anna", "a b'c", "::1", None, None)),
    ],
)
def test_every_part_may_be_missing_or_encoded(text: str, understood: tuple[object, ...]) -> None:
    assert parts(text) == understood


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("postgres://u:p@h1:5432,h2:5433/crm", "h1,h2", "5432,5433"),
        ("postgres://u:p@h1,h2:5433,[::1]:5434/crm", "h1,h2,::1", ",5433,5434"),
        ("postgres://u:p@h1,h2/crm", "h1,h2", None),
        ("postgres://u:p@/crm?host=h1:1&host=h2:2", "h1,h2", "1,2"),
        ("postgres://u:p@/crm?host=h1,h2&port=5433", "h1,h2", "5433,5433"),
        ("host=h1,h2 port=1,2 dbname=crm", "h1,h2", "1,2"),
        ("postgres://u:p@%2Fvar%2Frun%2Fpostgresql/crm", "/var/run/postgresql", None),
        ("postgres://u:p@%2Fvar%2Frun:5433/crm", "/var/run", "5433"),
        ("postgres:///crm?host=/var/run/postgresql&port=5433", "/var/run/postgresql", "5433"),
        ("postgres://u:p@localhost/crm?host=%2Fcloudsql%2Fa:b:c", "/cloudsql/a:b:c", None),
        ("postgres://u:p@h1,%2Ftmp/crm", "h1,/tmp", None),
    ],
)
def test_several_hosts_and_sockets_are_libpqs(text: str, host: str, port: str | None) -> None:
    url = parsed(text).url
    assert (url.host, url.port, url.database) == (None, None, "crm")
    assert (url.query.get("host"), url.query.get("port")) == (host, port)


@pytest.mark.parametrize("text", ["host=h1,h2 port=1,2,3", "postgres://h1:1,h2:2/crm?host=h3", "host=a,b port=1,x"])
def test_ports_that_do_not_fit_their_hosts_are_refused(text: str) -> None:
    assert "port" in refusal(text)


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_can_not_be_is_refused(port: str) -> None:
    assert "from 1 to 65535" in refusal(f"postgres://anna:pw@h:{port}/crm")


@pytest.mark.parametrize("name", sorted(IGNORED))
@pytest.mark.parametrize("value", ["true", "0"])
def test_how_other_clients_pool_and_prepare_does_not_concern_us(name: str, value: str) -> None:
    found = parsed(f"{PLAIN}?{name.upper()}={value}&{name}={value}")
    assert found == parsed(PLAIN)


@pytest.mark.parametrize("name", sorted(IGNORED))
def test_nothing_that_libpq_knows_is_left_out(name: str) -> None:
    assert name not in LIBPQ


@pytest.mark.parametrize(
    ("query", "understood"),
    [
        ("ssl=true", {"sslmode": "require"}),
        ("ssl=require", {"sslmode": "require"}),
        ("ssl=no-verify", {"sslmode": "require"}),
        ("ssl=%7B%22rejectUnauthorized%22%3A%20false%7D", {"sslmode": "require"}),
        ("ssl=verify-full", {"sslmode": "verify-full"}),
        ("ssl=false", {"sslmode": "disable"}),
        ("sslmode=no-verify", {"sslmode": "require"}),
        ("sslmode=VERIFY_FULL&sslrootcert=system", {"sslmode": "verify-full", "sslrootcert": "system"}),
        ("sslMode=Require&uselibpqcompat=true", {"sslmode": "require"}),
        ("sslmode=prefer&ssl=true", {"sslmode": "require"}),
        ("sslmode=verify-full&ssl=no-verify", {"sslmode": "verify-full"}),
        ("ssl=true&sslmode=disable", {"sslmode": "require"}),
        ("ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory", {"sslmode": "require"}),
        ("sslaccept=strict", {"sslmode": "verify-full", "sslrootcert": "system"}),
        ("sslmode=require&sslaccept=strict&sslcert=/ca.pem", {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}),
        ("sslmode=require&sslaccept=accept_invalid_certs", {"sslmode": "require"}),
        ("sslmode=verify-ca&sslaccept=accept_invalid_certs", {"sslmode": "verify-ca"}),
        ("sslcert=/c.pem&sslkey=/k.pem", {"sslcert": "/c.pem", "sslkey": "/k.pem"}),
        ("sslmode=require&channel_binding=require", {"sslmode": "require", "channel_binding": "require"}),
        ("options=project%3Dep-1", {"options": "project=ep-1"}),
        ("options=endpoint%3Dep-1", {"options": "endpoint=ep-1"}),
        ("options=-c+statement_timeout%3D5min", {"options": "-c statement_timeout=5min"}),
        ("ApplicationName=us&connectTimeout=7", {"application_name": "us", "connect_timeout": "7"}),
        ("connect_timeout=15", {"connect_timeout": "15"}),
        ("target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        ("targetServerType=primary", {"target_session_attrs": "primary"}),
        ("targetServerType=preferSecondary", {"target_session_attrs": "prefer-standby"}),
        ("loadBalanceHosts=true", {"load_balance_hosts": "random"}),
        ("load_balance_hosts=random", {"load_balance_hosts": "random"}),
        ("pgbouncer=true&connection_limit=1&connect_timeout=&ssl=&sslmode=", {}),
        ("&&", {}),
    ],
)
def test_what_has_a_meaning_is_translated_into_libpqs_word_for_it(query: str, understood: dict[str, str]) -> None:
    assert options(query) == understood


TLS = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@given(st.lists(st.sampled_from(TLS), min_size=1), st.lists(st.sampled_from(["ssl=true", "sslmode=no-verify"])))
def test_no_translation_weakens_tls(modes: list[str], translated: list[str]) -> None:
    mode = options("&".join([*translated, *(f"sslmode={each}" for each in modes)]))["sslmode"]
    least = ["require"] if translated else []
    assert all(TLS.index(mode) >= TLS.index(each) for each in [*modes, *least])


@pytest.mark.parametrize("name", ["schema", "currentSchema", "search_path", "searchPath"])
def test_a_schema_is_the_search_path(name: str) -> None:
    found = parsed(f"{PLAIN}?{name}=app,public")
    assert (found.search_path, dict(found.url.query)) == ("app,public", {})
    assert found.for_psycopg2().query["options"] == "-c search_path=app,public"
    assert "options" not in parsed(f"{PLAIN}?{name}=public").for_psycopg2().query


@pytest.mark.parametrize(
    ("value", "threshold"), [("5", 5), ("0", 0), ("none", None), ("None", None), ("never", None), ("", None)]
)
def test_when_to_prepare_is_psycopgs_own_option(value: str, threshold: int | None) -> None:
    assert parsed(f"{PLAIN}?prepare_threshold={value}").prepare_threshold == threshold
    assert options(f"prepare_threshold={value}") == {}


def test_unless_it_says_so_nothing_is_prepared() -> None:
    assert parsed(PLAIN).prepare_threshold is None
    assert parsed(f"{PLAIN}?prepareThreshold=5").prepare_threshold is None, "this is JDBC's"


@pytest.mark.parametrize(
    ("query", "option", "instead"),
    [
        ("sslmod=s3cret", "sslmod", "Did you mean sslmode?"),
        ("bogus=s3cret", "bogus", "Remove it from the URL, or correct its name."),
        ("plugin=s3cret", "plugin", "Remove it"),
        ("row_factory=s3cret", "row_factory", "Remove it"),
        ("sslidentity=s3cret.p12", "sslidentity", "sslcert=/path/cert.pem"),
        ("sslfactory=s3cret", "sslfactory", "sslmode=verify-full"),
        ("unix_sock=s3cret", "unix_sock", "host=/folder"),
        ("ssl=s3cret", "ssl", "Write sslmode=require or"),
        ("sslmode=s3cret", "sslmode", "Write sslmode=require or"),
        ("prepare_threshold=s3cret", "prepare_threshold", "prepare_threshold=5"),
        ("prepare_threshold=-1", "prepare_threshold", "prepare_threshold=5"),
        ("connect_timeout=s3cret", "connect_timeout", "connect_timeout=10"),
        ("keepalives_idle=s3cret", "keepalives_idle", "a number"),
    ],
)
def test_an_option_that_is_not_understood_is_named_without_its_value(query: str, option: str, instead: str) -> None:
    sentence = refusal(f"{PLAIN}?sslmode=require&{query}")
    assert sentence.startswith("DATABASE_URL has ")
    assert re.search(rf"\boption {option}\b", sentence)
    assert ". Nothing was done. " in sentence
    assert instead in sentence
    assert "s3cret" not in sentence


@pytest.mark.parametrize("name", INSTEAD)
def test_what_to_write_instead_is_said_of_options_that_mean_something(name: str) -> None:
    assert refusal(f"{PLAIN}?{name}=x").endswith(INSTEAD[name])


def test_libpq_takes_every_option_that_is_passed_on() -> None:
    found = parsed(f"{PLAIN}?" + "&".join(f"{name}=1" for name in LIBPQ - {"sslmode", "service"}))
    assert found.url.query.keys() | found.secrets.keys() < LIBPQ
    taken = engine_for(found.rendered()).dialect.create_connect_args(found.url)[1]
    text = " ".join(f"{name}={value}" for name, value in taken.items() if name != "context")
    assert pq.Conninfo.parse(text.encode())


def test_what_only_an_older_libpq_lacks_is_refused_by_name_too() -> None:
    with pytest.raises(DatabaseUrlError, match="OTHER has the option sslnegotiation"):
        parsed(f"{PLAIN}?sslnegotiation=direct", "OTHER", known=LIBPQ - {"sslnegotiation"})


@pytest.mark.parametrize(
    "text",
    [
        *("", "''", "postgresql", "postgresql:anna:s3cret@h/crm", "anna:s3cret@h/crm", "s3cret=x", "s3cret://h/crm"),
        *("postgresql://anna:s3cret@ho st/crm", "postgresql://anna:s3cret@h:port/crm"),
        *("host=h password=s3cret more", "host=h password='s3cret", "postgresql://anna:%E9s3cret@h/crm"),
        *("postgresql://anna:pw@h/crm?s3cret", "postgresql://anna:pw%00s3cret@h/crm", f"{PLAIN}\n{PLAIN}?x=s3cret"),
        "postgresql://anna:s3cret\udce9@h/crm",
    ],
)
def test_what_can_not_be_read_is_refused_without_showing_it(text: str) -> None:
    sentence = refusal(text)
    assert re.match("DATABASE_URL (can't be read as a URL|has a line break)", sentence)
    assert "s3cret" not in sentence


@pytest.mark.parametrize(
    "password",
    [
        *("p@w", "@", "p:w", "::", "100%", "p%zw", "p#w", "p/w", "/", "p?w", "a@b/c?d#e:f%", "@/:?#", "12/34", "?=x"),
        *("p w", "p&w", "p=w", "p+w", "'", '"', "[p]", "[::1]", "a,b", "p\\w", "$p{w}", "a@b:5/c@d"),
    ],
)
def test_signs_in_a_password_are_understood_where_there_is_one_reading(password: str) -> None:
    assert parts(f"postgresql://anna:{password}@db.example.com:5432/crm") == (
        *("anna", password, "db.example.com", 5432, "crm"),
    )


@pytest.mark.parametrize("password", ["12?a=b", "a@b?c=d", "?a=bc", "1/2?x=y"])
def test_signs_that_can_be_read_in_two_ways_are_refused_with_how_to_write_them(password: str) -> None:
    sentence = refusal(f"postgresql://anna:{password}@h/crm")
    assert "write @ as %40, / as %2F" in sentence
    assert password not in sentence
    assert parts(f"postgresql://anna:{quote(password, safe='')}@h/crm")[1] == password


MARKS = ("qz7xw", "jk9vb", "wq4yz")
FRAGMENTS = {mark[at : at + 3] for mark in MARKS for at in range(len(mark) - 2)}
SIGNS = st.text(st.sampled_from([chr(code) for code in range(32, 127) if not chr(code).isalnum()]), max_size=4)
TRAPS = st.sampled_from(
    ["@127.0.0.1/", "@[::1]:", "/crm?", "?a=", "&a=", "&sslmode=", ":5432/", ":1/", "%41", "%2", "'"]
)
PASSWORDS = st.tuples(*[SIGNS | TRAPS] * 4).map(lambda signs: signs[0] + "".join(map(str.__add__, MARKS, signs[1:])))
PLACES = (
    "postgresql://anna:{}@127.0.0.1:1/crm",
    "postgresql://anna:{}@127.0.0.1:1/crm?sslmode=disable&pgbouncer=true",
    "postgresql://anna:{}@127.0.0.1:1",
    "postgresql://127.0.0.1:1/crm?user=anna&password={}&sslmode=disable",
    "postgresql://127.0.0.1:1/crm?user=anna&password={}",
    "postgresql://anna@127.0.0.1:1/crm?password={}",
    "host=127.0.0.1 port=1 user=anna password={} dbname=crm",
    "anna:{}@127.0.0.1:1/crm",
    "host=127.0.0.1 port=1 user=anna password='{}' dbname=crm",
)


def leaks(*texts: object) -> set[str]:
    said = " ".join(map(str, texts)).lower()
    return {fragment for fragment in FRAGMENTS if fragment in said}


@settings(deadline=None, max_examples=200)
@given(password=PASSWORDS, place=st.sampled_from(PLACES), upper=st.booleans())
@example(password="qz7xw@jk9vb/wq4yz", place=PLACES[0], upper=False)
@example(password="qz7xw@jk9vb?wq4yz=x", place=PLACES[0], upper=False)
@example(password="1?qz7xw=jk9vb", place=PLACES[0], upper=False)
@example(password="qz7xw&jk9vb=wq4yz", place=PLACES[3], upper=False)
@example(password="qz7xw jk9vb=wq4yz", place=PLACES[6], upper=False)
@example(password="qz7xw&jk9vb@wq4yz/", place=PLACES[3], upper=False)
@example(password="qz7xw&jk9vb@wq4yz", place=PLACES[5], upper=False)
def test_no_part_of_a_password_is_ever_shown(password: str, place: str, upper: bool) -> None:
    password = password.upper() if upper else password
    text = place.format(password)
    database = Database(url=text)
    with pytest.raises(DatabaseError) as failed:
        database.contacts()
    assert leaks(failed.value, repr(failed.value), repr(database)) == set()
    if isinstance(failed.value, DatabaseUrlError):
        return
    assert str(failed.value).startswith("The database at 127.0.0.1:1 can't be used: ")
    found, engine = parsed(text), database.engine
    assert leaks(found, repr(found), engine, repr(engine), engine.url, repr(engine.url)) == set()
    if place in PLACES[:3]:
        assert (found.url.username, found.url.password) == ("anna", unquote(password))


@given(
    parts=st.tuples(*[st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)] * 3),
    threshold=st.none() | st.integers(0, 99),
    path=st.none() | st.just("app, public"),
)
def test_what_is_rendered_is_read_as_it_was(
    parts: tuple[str, str, str], threshold: int | None, path: str | None
) -> None:
    user, password, name = (quote(part, safe="") for part in parts)
    more = f"&prepare_threshold={threshold}" + (f"&schema={path}" if path else "") + "&sslpassword=a%20b+c"
    found = parsed(f"postgresql://{user}:{password}@h1:1,[::1]/{name}?connect_timeout=9{more}")
    assert (found.url.username, found.url.password, found.url.database) == parts
    assert found.secrets == {"sslpassword": "a b+c"}
    assert parsed(found.rendered()) == found
    assert parsed(found.rendered(connect_timeout="3")).url.query["connect_timeout"] == "3"


def test_the_password_of_a_key_file_is_shown_nowhere_and_reaches_libpq(world: World) -> None:
    text = f"{world.url}&sslpassword=s3cret"
    engine = engine_for(text)
    assert "s3cret" not in f"{parsed(text)!r} {engine!r} {engine.url!r}"
    with engine.connect() as connection:
        its_own: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        options_of_it = {option.keyword: option.val for option in its_own.pgconn.info}
    engine.dispose()
    assert options_of_it[b"sslpassword"] == b"s3cret"


def socket_of(world: World) -> tuple[str, str, str]:
    url = parsed(world.url).url
    return (str(url.query["host"]), str(url.query.get("port") or url.port or "5432"), str(url.database))


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://postgres@{encoded}:{port}/{name}",
        "postgres://postgres:p@ss/w:r?d#@{encoded}:{port}/{name}",
        "postgresql+asyncpg://postgres@/{name}?host={folder}&port={port}&ssl=require&pgbouncer=true&schema=public",
        '"postgresql://postgres@/{name}?host={encoded}&port={port}&connection_limit=1&sslmode=no-verify"\n',
        "postgresql://postgres@%2Fnowhere,{encoded}:{port}/{name}?target_session_attrs=read-write",
        "host={folder} port={port} dbname={name} user=postgres",
        "jdbc:postgresql:///{name}?host={folder}&port={port}&user=postgres&prepareThreshold=0&ApplicationName=x",
    ],
)
def test_a_real_server_is_reached_by_each_form(world: World, form: str) -> None:
    folder, port, name = socket_of(world)
    text = form.format(folder=folder, encoded=quote(folder, safe=""), port=port, name=name)
    database = Database(url=text)
    assert database.contacts().name == "contacts"
    in_a_hurry = database.giving_up_after(2)
    assert in_a_hurry.contacts().name == "contacts"
    in_a_hurry.engine.dispose()
    database.engine.dispose()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("postgresql://u:pw@127.0.0.1:1/crm", "127.0.0.1:1"),
        ("postgresql://u:pw@[::1]:1/crm", "[::1]:1"),
        ("postgresql://u:pw@127.0.0.1:1,[::1]:2/crm", "127.0.0.1:1, [::1]:2"),
        ("postgresql://u:pw@%2Fnowhere/crm", "/nowhere:5432"),
        ("postgresql://u:pw@/crm?host=/no/where,127.0.0.1&port=7", "/no/where:7, 127.0.0.1:7"),
    ],
)
def test_each_host_that_was_asked_is_named(text: str, where: str) -> None:
    with pytest.raises(DatabaseError, match=re.escape(f"The database at {where} can't be used: ")):
        Database(url=text).contacts()


def test_messages_name_the_variable_that_was_read() -> None:
    for text in ("", "mysql://h/crm", "postgresql://u@h/crm?bogus=1", "postgresql://u@127.0.0.1:1/crm"):
        with pytest.raises(DatabaseError) as failed:
            Database(url=text, url_variable="CRM_SYNC_DATABASE_URL").contacts()
        assert "CRM_SYNC_DATABASE_URL" in str(failed.value)
        assert " DATABASE_URL" not in str(failed.value)


def test_limits_in_the_url_stay_the_users_choice() -> None:
    found: PostgresUrl = parsed(f"{PLAIN}?connectTimeout=3")
    assert "connect_timeout" not in connect_args(found)
