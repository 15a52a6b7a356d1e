"""DATABASE_URL as hosts, poolers and other clients print it, made into what psycopg and libpq understand.

A password is often written as it is, with signs that a URL has other uses for. It is understood where only one reading
makes sense, and refused where there are several: a wrong one would show part of the password as a host or an option.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, unquote_plus, urlencode

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.transactions import DatabaseError
from crm_sync_pipeline.contact_queue.database.url_options import LIBPQ, SECRETS, RefusalError, Understood, understood
from crm_sync_pipeline.settings import DATABASE_URL, SettingsError
from crm_sync_pipeline.settings.values import plain

LOOKS_LIKE = "postgresql://user:password@host:5432/database"

_UNREADABLE = RefusalError(
    "can't be read as a URL",
    f"It should look like {LOOKS_LIKE}. In a user name and a password, write @ as %40, / as %2F, : as %3A, ? as %3F, "
    "# as %23 and % as %25.",
)

_SCHEME = re.compile(r"(?:jdbc:)?([a-z][a-z0-9+._-]*)://", re.IGNORECASE)
_POSTGRESQL = re.compile(r"(?:postgres|postgresql|postgis|pgsql|psql)(?:\+\w+)?", re.IGNORECASE)
_OTHERS = (
    *("sqlite", "mysql", "mariadb", "oracle", "mssql", "sqlserver", "cockroachdb", "redshift", "snowflake", "duckdb"),
    *("mongodb", "redis", "rediss", "http", "https", "file", "prisma", "libsql", "clickhouse", "bigquery", "db2"),
)
"""Schemes that are named in a message; what else stands there may be anything."""

_HOST = r"(?:\[[0-9A-Fa-f:.]+(?:%[\w.%~-]+)?\]|(?:[\w.~-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
_PLACE = re.compile(rf"(?P<hosts>{_HOST}(?:,{_HOST})*)(?:/(?P<dbname>[^?@]*))?(?:\?(?P<query>.*))?")
_OPTION = re.compile(r"[A-Za-z][^=&]*=[^&]*")
_PLUS_IS_PLUS = SECRETS | {"user"}
_SOCKETS = ("/", "@")
"""How a host begins that is the folder of a socket, or a socket without a file."""
_KEYWORD = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)")


class DatabaseUrlError(DatabaseError, SettingsError):
    """The variable that names the database is missing, or can't be one of PostgreSQL's."""


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A PostgreSQL, as a URL names it. Its repr shows no password."""

    url: sa.URL
    """For psycopg, with no options but libpq's; several hosts, and a socket's folder, are options (`host`, `port`)."""
    prepare_threshold: int | None = None
    """psycopg's own option: from which execution on a statement is prepared; None: never, as poolers want it."""
    search_path: str | None = None
    """The session's `search_path`, from the option `schema`, `currentSchema` or `search_path`; None: the role's own."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False, hash=False)
    """libpq's options that are secret (`sslpassword`), for connect() alone: the text of a URL would show them."""

    @property
    def place(self) -> str:
        """Which database it is, and for whom, as a text without a password: two URLs of one place have the same."""
        url = self.url
        where = {name: url.query[name] for name in ("host", "port", "service", "options") if name in url.query}
        return f"{url.username}@{url.host}:{url.port}/{url.database} {sorted(where.items())} {self.search_path}"

    def for_psycopg2(self) -> sa.URL:
        """The URL for psycopg2, with all that stands beside it, secrets too: never show it.

        `public` is what a session has anyhow, and some poolers refuse every connection with `options`.
        """
        more = dict(self.secrets)
        if self.search_path and self.search_path != "public":
            path = re.sub(r"([\s\\])", r"\\\1", self.search_path)
            more["options"] = f"{self.url.query.get('options', '')} -c search_path={path}".strip()
        return self.url.set(drivername="postgresql+psycopg2").update_query_dict(more)

    def rendered(self, **options: str) -> str:
        """All of it as a text that `parsed` understands, password included; `options` replace its own."""
        url = self.url
        own = {
            "user": url.username,
            "password": url.password,
            "host": url.host,
            "port": url.port,
            "dbname": url.database,
            "prepare_threshold": self.prepare_threshold,
            "search_path": self.search_path,
        }
        given = {name: value for name, value in own.items() if value is not None}
        every = {**given, **url.query, **self.secrets, **options}
        return f"postgresql:///?{urlencode(every, quote_via=quote)}"


def parsed(text: str, variable: str = DATABASE_URL, known: Collection[str] = LIBPQ) -> PostgresUrl:
    """What a URL, or libpq's `host=... dbname=...`, means to a libpq that has the `known` options.

    DatabaseUrlError says what is wrong with `variable`, by the name of an option where it is one, and never a value.
    """
    try:
        return _built(understood(_pairs(_bare(text)), known))
    except RefusalError as refusal:
        raise DatabaseUrlError(f"{variable} {refusal.why}. Nothing was done. {refusal.instead}") from None


def _bare(text: str) -> str:
    """Without what files, shells, .env files and a host's copy button leave around it."""
    text = plain(re.sub(r"^psql\s+", "", plain(text)))
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise RefusalError("has a line break or another control character in it", "Write it on one line.")
    if re.search(r"[\ud800-\udfff]", text):  # bytes of the environment that are not UTF-8
        raise _UNREADABLE
    return text


def _pairs(text: str) -> list[tuple[str, str]]:
    """Names and values in the order in which they were given, percent-signs decoded."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _keywords(text)
    if not _POSTGRESQL.fullmatch(scheme[1]):
        raise _another_database(scheme[1].lower().partition("+")[0])
    readings = list(_readings(text[scheme.end() :]))
    if len(readings) != 1:
        raise _UNREADABLE
    ((user, password, place),) = readings
    if re.search("[?&](ssl)?password=", password, re.IGNORECASE):  # the password is an option, and broken
        raise _UNREADABLE
    given = {"user": user, "password": password, "dbname": place["dbname"] or ""}
    options = [option.partition("=") for option in (place["query"] or "").split("&") if option]
    return [
        *((name, _decoded(value)) for name, value in [*_places(place["hosts"].split(",")), *given.items()]),
        *_with_one_host(
            (_decoded(name), _decoded(value, plus_is_plus=name in _PLUS_IS_PLUS)) for name, _, value in options
        ),
    ]


def _another_database(kind: str) -> RefusalError:
    if kind not in _OTHERS:
        return _UNREADABLE
    return RefusalError(
        f"names {kind}; the queue needs PostgreSQL, which can skip locked rows", f"It should look like {LOOKS_LIKE}."
    )


def _readings(text: str) -> Iterator[tuple[str, str, re.Match[str]]]:
    """Each way to read what follows the scheme: any `@` may be the one before the hosts, or there is none."""
    for cut in (-1, *(found.start() for found in re.finditer("@", text))):
        user, _, password = text[: max(cut, 0)].partition(":")
        place = _PLACE.fullmatch(text, cut + 1)
        if place is None or re.search("[/?]", user):
            continue
        if all(_OPTION.fullmatch(option) for option in (place["query"] or "").split("&") if option):
            yield user, password, place


def _keywords(text: str) -> list[tuple[str, str]]:
    """The other form that libpq takes, `host=... dbname=...`; a value with blanks stands in single quotes."""
    pairs, position = [], 0
    while found := _KEYWORD.match(text, position):
        value = found[3] if found[2] is None else found[2]
        pairs.append((found[1], re.sub(r"\\(.)", r"\1", value)))
        position = found.end()
    if text[position:].strip() or not any(name in LIBPQ for name, _ in pairs):
        raise _UNREADABLE
    return _with_one_host(pairs)


def _with_one_host(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """SQLAlchemy's several options `host`, with ports in them, made into the one `host` and `port` of libpq."""
    every = list(pairs)
    hosts = ",".join(value for name, value in every if name == "host" and value)
    ports = ",".join(value for name, value in every if name == "port" and value)
    others = [(name, value) for name, value in every if name not in ("host", "port")]
    return [*(_places(hosts.split(",")) if hosts else ()), *([("port", ports)] if ports else ()), *others]


def _places(hosts: list[str]) -> list[tuple[str, str]]:
    """`host` and `port` for one or several of `name:port`, `[::1]:port` and folders of sockets."""
    names, ports = [], []
    for host in hosts:
        found = None if host.startswith(_SOCKETS) else re.fullmatch(r"(?:\[(.*)\]|([^:]*))(?::([0-9]*))?", host)
        names.append((found[1] or found[2]) if found else host)
        ports.append((found[3] or "") if found else "")
    return [("host", ",".join(names)), *([("port", ",".join(ports))] if any(ports) else ())]


def _decoded(text: str, *, plus_is_plus: bool = True) -> str:
    try:
        found = (unquote if plus_is_plus else unquote_plus)(text, errors="strict")
    except UnicodeDecodeError:  # a raw % before two letters that happen to be hexadecimal
        raise _UNREADABLE from None
    if "\0" in found:
        raise _UNREADABLE
    return found


def _built(found: Understood) -> PostgresUrl:
    options = dict(found.libpq)
    user, password, database = (options.pop(name, None) for name in ("user", "password", "dbname"))
    hosts, ports = options.pop("host", "").split(","), options.pop("port", "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    if len(hosts) != len(ports):
        raise RefusalError(
            "names a different number of ports than of hosts", "Write each port beside its host: host1:5432,host2:5433."
        )
    if not all(re.fullmatch("[0-9]{0,5}", port) and 0 < int(port or 1) < 65536 for port in ports):
        raise RefusalError("has a port that is not a number from 1 to 65535", f"It should look like {LOOKS_LIKE}.")
    secrets = {name: options.pop(name) for name in SECRETS & options.keys()}
    host = port = None
    if len(hosts) == 1 and not hosts[0].startswith(_SOCKETS):
        host, port = hosts[0] or None, int(ports[0]) if ports[0] else None
    else:
        options |= {"host": ",".join(hosts), **({"port": ",".join(ports)} if any(ports) else {})}
    url = sa.URL.create(
        "postgresql+psycopg",
        username="" if password and user is None else user,  # without a name SQLAlchemy would leave out the password
        password=password,
        host=host,
        port=port,
        database=database,
        query=options,
    )
    return PostgresUrl(url, found.prepare_threshold, found.search_path, secrets)
