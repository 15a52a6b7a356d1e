"""Faults a simulator shows on request, and to which requests.

The grammar, in which the command line, the control endpoint and `Fault.parse` speak:

    KIND[=MILLISECONDS][:OPTION[=VALUE]]...

    latency=100                            each answer waits 100 ms
    status-500-empty:times=3               the next three requests
    reset-after-write:rate=0.05            one request in twenty, drawn from the simulator's seed
    status-429:for=30                      shut for 30 s, the reset header counting down
    status-400:email=*@example.org         contacts whose e-mail matches
    status-503:method=*:path=/v3/contacts* other requests than the simulator's upsert
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Kind:
    """What a kind of fault does; `wrote`: whether the request is carried out all the same, if nobody says otherwise."""

    meaning: str
    wrote: bool = False
    default_ms: float | None = None


KINDS: Mapping[str, Kind] = {
    "latency": Kind("the answer waits =MILLISECONDS (100), give or take jitter=", wrote=True, default_ms=100),
    "status-400": Kind("the vendor refuses the contact"),
    "status-401-key": Kind("the vendor does not know the key"),
    "status-401-ip": Kind("the vendor does not accept this IP address"),
    "status-402": Kind("the account has no credit"),
    "status-403": Kind("the account may not do this"),
    "status-404": Kind("the vendor does not find it"),
    "status-405": Kind("the method is not allowed"),
    "status-425": Kind("too early"),
    "status-429": Kind("too many requests; reset= sets the reset header, retry-after= adds that one"),
    "status-500-empty": Kind("an error without a body"),
    "status-502-html": Kind("a proxy's error page"),
    "status-503": Kind("a proxy finds no upstream"),
    "status-524-html": Kind("a proxy's error page: the origin took too long, and went on working", wrote=True),
    "reset-before-write": Kind("the connection breaks before the request is carried out"),
    "reset-after-write": Kind("the connection breaks after the request is carried out", wrote=True),
    "hang": Kind("no answer ever comes"),
    "slow-body": Kind("the body drips over =MILLISECONDS (1000)", wrote=True, default_ms=1000),
    "garbage-201": Kind("201 with JSON that breaks off", wrote=True),
    "empty-201": Kind("201 without a body", wrote=True),
    "unexpected-200": Kind("200 with JSON of another shape", wrote=True),
    "wrong-content-type": Kind("the true answer, labelled text/html", wrote=True),
    "megabyte-body": Kind("the true answer, with a megabyte more of JSON", wrote=True),
}


@dataclass(frozen=True)
class Fault:
    """One fault and its reach. Without a limit it lasts until it is healed.

    milliseconds, jitter_ms  for latency and slow-body
    times, seconds, rate     next n requests; for so long; with a probability of 0 < rate <= 1
    email                    only requests about a contact whose e-mail matches this pattern (*, ?; in any case)
    method, path             exact method or *; path pattern with *; None: the simulator's upsert
    retry_after, reset       seconds in the Retry-After and the rate-limit reset header of a 429
    wrote                    carry the request out before failing it; None: as the kind says

    ValueError when a value is out of its bounds or does not go with the kind.
    """

    kind: str
    milliseconds: float | None = None
    jitter_ms: float = 0
    times: int | None = None
    seconds: float | None = None
    rate: float = 1
    email: str | None = None
    method: str | None = None
    path: str | None = None
    retry_after: float | None = None
    reset: float | None = None
    wrote: bool | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}. Known faults: {', '.join(KINDS)}.")
        timed = KINDS[self.kind].default_ms is not None
        checks = (
            (self.milliseconds is None or timed, f"{self.kind} takes no milliseconds"),
            (self.milliseconds is None or self.milliseconds >= 0, "milliseconds must be 0 or more"),
            (self.jitter_ms >= 0, "jitter must be 0 or more milliseconds"),
            (self.jitter_ms == 0 or self.kind == "latency", "jitter goes with latency only"),
            (self.times is None or self.times >= 1, "times must be 1 or more"),
            (self.seconds is None or self.seconds > 0, "for must be above 0 seconds"),
            (0 < self.rate <= 1, "rate must be above 0 and at most 1"),
            (self.retry_after is None or self.retry_after >= 0, "retry-after must be 0 or more seconds"),
            (self.retry_after is None or self.kind == "status-429", "retry-after goes with status-429 only"),
            (self.reset is None or self.reset >= 0, "reset must be 0 or more seconds"),
            (self.reset is None or self.kind == "status-429", "reset goes with status-429 only"),
            (":" not in f"{self.email}{self.method}{self.path}", "a pattern cannot hold a colon"),
            ("" not in (self.email, self.method), "a pattern cannot be empty"),
            (self.path is None or self.path.startswith(("/", "*")), "path must begin with / or *"),
            (self.wrote is not False or self.kind != "latency", "latency carries its request out"),
            (self.wrote is None or not self.kind.startswith("reset-"), f"{self.kind} says itself when it breaks"),
        )
        for holds, problem in checks:
            if not holds:
                raise ValueError(f"The fault {self.kind!r} cannot be set: {problem}.")

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read the grammar above. ValueError names what is wrong, and what there is."""
        head, *options = text.split(":")
        kind, has_value, value = head.partition("=")
        values: dict[str, Any] = {"kind": kind}
        if kind not in KINDS:
            raise ValueError(f"There is no fault {kind!r} in {text!r}. Known faults: {', '.join(KINDS)}.")
        if has_value:
            values["milliseconds"] = _read(text, kind, value, _number, "a number of milliseconds")
        for option in options:
            name, _, value = option.partition("=")
            if name not in OPTIONS:
                raise ValueError(f"There is no option {name!r} in {text!r}. Known options: {', '.join(OPTIONS)}.")
            field, read, expected = OPTIONS[name]
            if field in values:
                raise ValueError(f"The option {name!r} stands twice in {text!r}.")
            values[field] = _read(text, name, value, read, expected)
        try:
            return cls(**values)
        except ValueError as problem:
            raise ValueError(f"{text!r}: {problem}") from None

    def __str__(self) -> str:
        """Write the fault in the grammar, so that parsing it gives the same fault."""
        head = self.kind if self.milliseconds is None else f"{self.kind}={_written(self.milliseconds)}"
        changed = {field.name for field in fields(self) if getattr(self, field.name) != field.default}
        options = [
            f"{name}={_written(getattr(self, field))}" for name, (field, _, _) in OPTIONS.items() if field in changed
        ]
        return ":".join([head, *options])


def _yes_or_no(text: str) -> bool:
    return {"yes": True, "no": False}[text]


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _some(text: str) -> str:
    if not text:
        raise ValueError("empty")
    return text


def _method(text: str) -> str:
    return _some(text).upper()


OPTIONS: Mapping[str, tuple[str, Callable[[str], Any], str]] = {
    "times": ("times", int, "a whole number of requests"),
    "for": ("seconds", _number, "a number of seconds"),
    "rate": ("rate", _number, "a probability such as 0.05"),
    "email": ("email", _some, "a pattern such as *@example.org"),
    "method": ("method", _method, "a method such as PUT, or *"),
    "path": ("path", _some, "a path such as /v3/contacts/*"),
    "jitter": ("jitter_ms", _number, "a number of milliseconds"),
    "retry-after": ("retry_after", _number, "a number of seconds"),
    "reset": ("reset", _number, "a number of seconds"),
    "written": ("wrote", _yes_or_no, "yes or no"),
}


def _read(text: str, name: str, value: str, read: Callable[[str], Any], expected: str) -> Any:
    try:
        return read(value)
    except (ValueError, KeyError):
        raise ValueError(f"{name!r} in {text!r} takes {expected}, not {value!r}.") from None


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
