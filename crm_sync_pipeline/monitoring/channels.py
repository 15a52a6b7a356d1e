"""How alerts reach people: a webhook, and e-mail. Neither shows its URL: both may hold secrets."""

import logging
import smtplib
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.settings import AlertSettings

logger = logging.getLogger("crm_sync_pipeline")

TIME_LIMIT_SECONDS = 8
"""Of each step: connecting, and each answer."""


class AlertNotSentError(CrmSyncError):
    """A channel did not take an alert. It stays to be told."""


class Channel(Protocol):
    """One way to tell people."""

    @property
    def name(self) -> str:
        """What it is called, in the table of what was told too."""

    @property
    def shown(self) -> str:
        """Where it leads, without secrets."""

    def send(self, subject: str, text: str) -> None:
        """Tell it. AlertNotSentError where that did not succeed."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """POST {"text": ...}, which is what Slack's incoming webhooks take.

    https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    """

    url: str = field(repr=False)
    name: str = "webhook"

    @property
    def shown(self) -> str:
        """The host: the path is the secret."""
        return urlsplit(self.url).hostname or "?"

    def send(self, subject: str, text: str) -> None:  # noqa: ARG002 # a webhook has no head
        """Post it; any 2xx is a success."""
        try:
            with _unlogged():
                answer = httpx.post(self.url, json={"text": text}, timeout=TIME_LIMIT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise AlertNotSentError(
                f"The webhook at {self.shown} can't be reached ({type(error).__name__}). The alert was not sent to it. "
                "Check CRM_SYNC_ALERT_WEBHOOK_URL and the network."
            ) from None
        if not answer.is_success:
            raise AlertNotSentError(
                f"The webhook at {self.shown} answered {answer.status_code}. The alert was not taken. Check "
                "that CRM_SYNC_ALERT_WEBHOOK_URL is still valid."
            )


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep httpx from writing the whole URL of what this thread sends into the log: its path is the secret."""
    sender = threading.get_ident()

    def is_of_another(record: logging.LogRecord) -> bool:
        return record.thread != sender

    log = logging.getLogger("httpx")
    log.addFilter(is_of_another)
    try:
        yield
    finally:
        log.removeFilter(is_of_another)


@dataclass(frozen=True, slots=True)
class Mail:
    """E-mail through an SMTP server: smtp:// with STARTTLS where it is offered, smtps:// with TLS from the start."""

    url: str = field(repr=False)
    to: Sequence[str] = field(repr=False)
    sender: str = field(repr=False)
    name: str = "e-mail"

    @property
    def shown(self) -> str:
        """The server."""
        return urlsplit(self.url).hostname or "?"

    def send(self, subject: str, text: str) -> None:
        """Hand the mail over to the server; it is sent when the server has taken it for one address at least."""
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = subject, self.sender, ", ".join(self.to)
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="crm-sync.invalid")
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        try:
            with self._server() as server:
                refused = server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise AlertNotSentError(self._failure(_why(error))) from None
        if refused:  # the others have it: sending it again would reach them again
            logger.warning("mail_refused addresses=%d of=%d", len(refused), len(self.to))

    def _server(self) -> smtplib.SMTP:
        url = urlsplit(self.url)
        host, tls = url.hostname or "", ssl.create_default_context()
        if url.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, url.port or 465, timeout=TIME_LIMIT_SECONDS, context=tls)
        else:
            server = smtplib.SMTP(host, url.port or 587, timeout=TIME_LIMIT_SECONDS)
        try:
            self._log_in(server, url, tls)
        except BaseException:
            server.close()
            raise
        return server

    def _log_in(self, server: smtplib.SMTP, url: SplitResult, tls: ssl.SSLContext) -> None:
        server.ehlo()
        is_safe = url.scheme == "smtps"
        if not is_safe and server.has_extn("starttls"):
            server.starttls(context=tls)
            is_safe = True
        if not url.username:
            return
        if not is_safe and not _is_this_machine(url.hostname or ""):
            raise AlertNotSentError(self._failure("it offers no STARTTLS, and the password would travel in the clear"))
        server.login(unquote(url.username), unquote(url.password or ""))

    def _failure(self, why: str) -> str:
        return (
            f"The mail server {self.shown} did not take the alert: {why}. Check CRM_SYNC_SMTP_URL and "
            "CRM_SYNC_ALERT_EMAIL_TO."
        )


def _why(error: Exception) -> str:
    """The kind of failure and the server's number; its words may quote an address."""
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__}{f' {code}' if code else ''}"


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def channels_of(settings: AlertSettings) -> list[Channel]:
    """The channels that are set."""
    channels: list[Channel] = []
    if settings.alert_webhook_url:
        channels.append(Webhook(settings.alert_webhook_url.get_secret_value().strip()))
    if settings.smtp_url and settings.alert_email_to:
        to = [word.strip() for word in settings.alert_email_to.split(",")]
        channels.append(Mail(settings.smtp_url.get_secret_value().strip(), to, settings.alert_email_from or to[0]))
    return channels


def missing_for_channels(settings: AlertSettings) -> str | None:
    """The sentence for what keeps a channel from being used; None where each is set, or not wanted at all."""
    if bool(settings.smtp_url) == bool(settings.alert_email_to):
        if channels_of(settings):
            return None
        return (
            "Neither CRM_SYNC_ALERT_WEBHOOK_URL nor CRM_SYNC_SMTP_URL with CRM_SYNC_ALERT_EMAIL_TO is set, so nobody "
            "is told of anything."
        )
    here, absent = ("CRM_SYNC_SMTP_URL", "CRM_SYNC_ALERT_EMAIL_TO")[:: 1 if settings.smtp_url else -1]
    return f"{here} is set and {absent} is not, so no mail is sent. Set {absent} too."
