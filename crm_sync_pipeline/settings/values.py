"""What the value of a setting may be; each refusal says what would be right."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from crm_sync_pipeline.domain.characters import trimmed

_QUOTES = ("'", '"')


def plain(value: str) -> str:
    """The value without what is around it: blanks, a carriage return, invisible characters, a pair of quotes.

    A file that was written by another system, or a program that does not take quotes off, leaves them there.
    """
    bare = trimmed(value)
    while len(bare) > 1 and bare[0] == bare[-1] and bare[0] in _QUOTES:
        bare = trimmed(bare[1:-1])
    return bare


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", value) or not _names_a_host(value):
        raise ValueError("it must start with http:// or https:// and name a host, such as https://api.example.com")
    if "@" in urlsplit(value).netloc:
        raise ValueError("it must hold no user and no password: addresses are shown in the UI and in messages")
    return value.rstrip("/")


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an address in them, or a port that is none
        return False


def _table_name(value: str) -> str:
    if not re.fullmatch(r"[^\s.\"]+(\.[^\s.\"]+)?", value):
        raise ValueError("it must be a table's name or schema.table, without quotes, such as contacts or app.people")
    return value


def _owner(value: str) -> str:
    if not re.fullmatch(r"team:\S+|[\w.+-]+@[\w-]+(\.[\w-]+)+", value, re.ASCII):
        raise ValueError("it must be an e-mail address or team: and a name, such as team:marketing")
    return value


def _webhook(value: SecretStr | None) -> SecretStr | None:
    url = value.get_secret_value().strip() if value is not None else ""
    if url and not (re.fullmatch(r"https?://[^\s/?#]+\S*", url) and _names_a_host(url)):
        raise ValueError("it must start with http:// or https:// and name a host, such as https://hooks.example.com/x")
    return value


def _smtp_url(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not _is_smtp_url(value.get_secret_value().strip()):
        raise ValueError("it must look like smtp://user:password@host:587, or smtps://user:password@host:465")
    return value


def _is_smtp_url(url: str) -> bool:
    return bool(re.fullmatch(r"smtps?://\S+", url)) and _names_a_host(url)


def _addresses(value: str | None) -> str | None:
    if value is not None and not all(re.fullmatch(r"[^@\s,<>]+@[^@\s,<>]+", word.strip()) for word in value.split(",")):
        raise ValueError("it must be an e-mail address, or several with commas between them")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
TableName = Annotated[str, AfterValidator(_table_name)]
Owner = Annotated[str, AfterValidator(_owner)]
WebhookUrl = Annotated[SecretStr | None, AfterValidator(_webhook)]
SmtpUrl = Annotated[SecretStr | None, AfterValidator(_smtp_url)]
EmailAddresses = Annotated[str | None, AfterValidator(_addresses)]
