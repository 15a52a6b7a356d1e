"""The webhook's URL, which is a secret: what of it may be shown, and what follows from it. Pure."""

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

MASK = "<webhook>"

_ENDPOINTS = frozenset({"webhook", "webhook-test"})
"""The path segments that every n8n has: they give nothing away."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook by its URL. `secret` is what callers prove themselves with; "" for nothing."""

    url: str = field(repr=False)
    secret: str = field(default="", repr=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port: all that may be shown."""
        return origin_of(self.url)

    @property
    def health(self) -> str:
        """Where this n8n answers whether it is there: beside its webhooks, also below a path of a proxy."""
        parts = self._parts
        before, found, _ = parts.path.partition("/webhook")
        prefix = before if found else ""
        return f"{parts.scheme}://{parts.netloc}{prefix}/healthz"

    @property
    def is_for_tests(self) -> bool:
        """Whether it listens only for one call, after a click in n8n's editor."""
        return "/webhook-test/" in f"{self._parts.path}/"

    @property
    def is_for_production(self) -> bool:
        """Whether its path is one that n8n gives to a workflow that is active."""
        return "/webhook/" in f"{self._parts.path}/"

    @property
    def travels_openly(self) -> bool:
        """Whether contacts and secret go over a network unencrypted."""
        host = self._parts.hostname or ""
        is_near = host in ("localhost", "::1") or host.startswith("127.")
        return self._parts.scheme == "http" and not is_near

    def hidden_in(self, text: str) -> str:
        """The text with a mask for every part of the URL's path and query, and for the secret."""
        for part in sorted(self._parts_to_hide(), key=len, reverse=True):
            text = re.sub(rf"(?<![\w-]){re.escape(part)}(?![\w-])", MASK, text)
        return text

    def _parts_to_hide(self) -> set[str]:
        parts = self._parts
        whole = {self.url, parts.path.strip("/"), parts.path.rpartition("/webhook/")[2], parts.query, self.secret}
        segments = {*parts.path.split("/"), *re.split("[&=]", parts.query)}
        found = whole | segments
        return {each for each in found | {unquote(each) for each in found} if len(each) > 2} - _ENDPOINTS

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL; "" where it has none."""
    try:
        parts = urlsplit(url.strip())
        host = parts.netloc.rpartition("@")[2]
        has_host = bool(parts.hostname)
    except ValueError:  # brackets without an address in them
        return ""
    if parts.scheme not in ("http", "https") or not has_host:
        return ""
    return f"{parts.scheme}://{''.join(each for each in host if each.isprintable())}"
