"""What the options of a PostgreSQL URL mean: libpq's own, and those of hosts, poolers and other clients."""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from psycopg import pq

LIBPQ = frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())
"""The options that the installed libpq takes."""

SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
"""Those of libpq that must not be shown, and in which a plus sign is a plus sign."""

ALIASES = {
    "applicationname": "application_name",
    "channelbinding": "channel_binding",
    "connecttimeout": "connect_timeout",
    "logintimeout": "connect_timeout",
    "loadbalancehosts": "load_balance_hosts",
    "targetservertype": "target_session_attrs",
    "database": "dbname",
    "username": "user",
    "schema": "search_path",
    "currentschema": "search_path",
    "searchpath": "search_path",
}
"""Other clients' names for what we take, in lower case."""

IGNORED = frozenset(
    {
        # Prisma, Supabase and Vercel
        *("pgbouncer", "connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size"),
        *("supa", "workaround", "pooler"),
        # JDBC
        *("preparethreshold", "preparedstatementcachequeries", "preparedstatementcachesizemib", "binarytransfer"),
        *("sockettimeout", "tcpkeepalive", "rewritebatchedinserts", "stringtype", "autosave", "loggerlevel"),
        # node-postgres and its pool
        *("uselibpqcompat", "keepalive", "max", "min", "idletimeoutmillis", "connectiontimeoutmillis"),
        # Rails and Django
        *("adapter", "encoding", "pool", "prepared_statements", "statement_limit", "reaping_frequency"),
        *("checkout_timeout", "idle_timeout", "conn_max_age", "conn_health_checks", "disable_server_side_cursors"),
        # asyncpg, SQLAlchemy and psycopg
        *("prepared_statement_cache_size", "prepared_statement_name_func", "max_cached_statement_lifetime"),
        *("max_cacheable_statement_size", "command_timeout", "timeout", "min_size", "max_size", "async_fallback"),
        *("pool_size", "max_overflow", "pool_recycle", "pool_pre_ping", "autocommit"),
        # Go: pgx and lib/pq
        *("pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time"),
        *("pool_health_check_period", "default_query_exec_mode", "statement_cache_mode", "statement_cache_capacity"),
        *("description_cache_capacity", "binary_parameters"),
        # Settings of the session, which our transactions choose themselves
        *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone", "datestyle"),
    }
)
"""What does not concern us, in lower case: how other clients pool, prepare and wait."""

INSTEAD = {
    "sslidentity": "Convert that file to PEM and write sslcert=/path/cert.pem and sslkey=/path/key.pem.",
    "sslfactory": "Write sslmode=verify-full and sslrootcert=system, or sslrootcert=/path/ca.pem.",
    "unix_sock": "Write host=/folder/of/the/socket.",
    "unix_socket": "Write host=/folder/of/the/socket.",
    "socketfactory": "Write host=/cloudsql/project:region:instance, where the Cloud SQL proxy makes its socket.",
    "cloudsqlinstance": "Write host=/cloudsql/project:region:instance, where the Cloud SQL proxy makes its socket.",
    "api_key": "Set the URL of the PostgreSQL itself, not that of a proxy with a protocol of its own.",
    "role": "Write options=-c%20role%3Dname.",
}
"""What to write for options that have a meaning which we can't translate, in lower case."""

_TLS = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TLS_WORDS = {
    **dict.fromkeys(("true", "1", "on", "yes", "required", "no-verify", '{"rejectunauthorized":false}'), "require"),
    **dict.fromkeys(("false", "0", "off", "no", "disabled"), "disable"),
    **{mode: mode for mode in _TLS},
}
_SERVERS = {
    **dict.fromkeys(("master", "primary"), "primary"),
    **dict.fromkeys(("slave", "secondary"), "standby"),
    **dict.fromkeys(("preferslave", "prefersecondary"), "prefer-standby"),
    "preferprimary": "any",
}
_WHOLE_NUMBERS = (
    *("connect_timeout", "tcp_user_timeout"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
)


class RefusalError(Exception):
    """Why a URL is refused, to follow the name of its variable, and what to write instead. Holds no value."""

    def __init__(self, why: str, instead: str) -> None:
        super().__init__(why)
        self.why, self.instead = why, instead


@dataclass(slots=True)
class Understood:
    """What was meant: libpq's options by name, and what is not libpq's."""

    libpq: dict[str, str] = field(default_factory=dict, repr=False)
    prepare_threshold: int | None = None
    search_path: str | None = None


def understood(pairs: Iterable[tuple[str, str]], known: Collection[str] = LIBPQ) -> Understood:
    """The options of a URL, of which later ones win. RefusalError names one that can't be used, without its value."""
    found, after_password = Understood(), False
    tls: list[str] = []
    of_prisma = ""
    for written, value in pairs:
        name = ALIASES.get(written.lower(), written.lower())
        if name in ("ssl", "sslmode"):
            tls += [_tls_mode(written, value)] if value else []
        elif name == "sslaccept":
            of_prisma = value.lower()
        elif name == "search_path":
            found.search_path = value or None
        elif name == "prepare_threshold":
            found.prepare_threshold = _threshold(value)
        elif name in known:
            if value:
                found.libpq[name] = _libpq_value(name, value)
        elif name not in IGNORED and not _is_no_verification(name, value):
            raise _unknown(name, written, after_password, known)
        after_password = name in SECRETS or (after_password and name not in known)
    if of_prisma:
        tls += _as_prisma_means(found, of_prisma)
    if tls:
        found.libpq["sslmode"] = max(tls, key=_TLS.index)
    return found


def _tls_mode(name: str, value: str) -> str:
    """The word that libpq has for it; `no-verify` and `true` become `require`, never less."""
    mode = _TLS_WORDS.get(re.sub(r"\s", "", value).lower().replace("_", "-"))
    if mode is None:
        raise RefusalError(
            f"has an unknown value for the option {name}", f"Write sslmode={' or sslmode='.join(_TLS[3:])}."
        )
    return mode


def _as_prisma_means(found: Understood, accept: str) -> list[str]:
    """Prisma's `sslaccept`; beside it `sslcert` is the certificate of the server's authority, not the client's."""
    if "sslcert" in found.libpq and "sslkey" not in found.libpq:
        found.libpq.setdefault("sslrootcert", found.libpq.pop("sslcert"))
    if accept == "accept_invalid_certs":
        return []
    found.libpq.setdefault("sslrootcert", "system")
    return ["verify-full"]


def _is_no_verification(name: str, value: str) -> bool:
    """Whether it is JDBC's way to say that TLS is wanted, and no check of the certificate: libpq's `require`."""
    return name == "sslfactory" and value.endswith("NonValidatingFactory")


def _threshold(value: str) -> int | None:
    if value.lower() in ("", "none", "null", "never"):
        return None
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise RefusalError(
            "has a value for the option prepare_threshold that is not a whole number",
            "Write prepare_threshold=5 to prepare a statement from its fifth execution on, or none for never.",
        )
    return int(value)


def _libpq_value(name: str, value: str) -> str:
    if name == "target_session_attrs":
        return _SERVERS.get(value.lower(), value)
    if name == "load_balance_hosts":
        return {"true": "random", "false": "disable"}.get(value.lower(), value)
    if name in _WHOLE_NUMBERS and not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise RefusalError(
            f"has a value for the option {name} that is not a whole number", f"Write a number, such as {name}=10."
        )
    return value


def _unknown(name: str, written: str, after_password: bool, known: Collection[str]) -> RefusalError:
    """What follows a password may be the rest of it, cut at an `&` or a blank, so it is not named."""
    if after_password or not re.fullmatch(r"[A-Za-z][\w.-]{1,40}", written):
        return RefusalError(
            "has an option that PostgreSQL's client library (libpq) does not know",
            "If it is part of the password, write the sign before it as % and its code: & as %26, # as %23.",
        )
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    guess = f" Did you mean {close[0]}?" if close else ""
    return RefusalError(
        f"has the option {written}, which PostgreSQL's client library (libpq) does not know",
        INSTEAD.get(name, f"Remove it from the URL, or correct its name.{guess}"),
    )
