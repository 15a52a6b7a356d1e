import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.simulators.faults import KINDS, OPTIONS, Fault

PATTERN = st.text(st.characters(codec="ascii", exclude_characters=":"), min_size=1)
NUMBER = st.floats(0, 1e9) | st.integers(0, 10**9).map(float)


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    kind = draw(st.sampled_from(list(KINDS)))
    limited = kind == "status-429"
    return Fault(
        kind,
        milliseconds=draw(st.none() | NUMBER) if KINDS[kind].default_ms else None,
        jitter_ms=draw(NUMBER) if kind == "latency" else 0,
        times=draw(st.none() | st.integers(1, 10**9)),
        seconds=draw(st.none() | NUMBER.filter(bool)),
        rate=draw(st.floats(0, 1, exclude_min=True)),
        email=draw(st.none() | PATTERN),
        method=draw(st.none() | st.sampled_from(["POST", "PUT", "*"])),
        path=draw(st.none() | PATTERN.map("/".__add__)),
        retry_after=draw(st.none() | NUMBER) if limited else None,
        reset=draw(st.none() | NUMBER) if limited else None,
        wrote=draw(st.none() | st.booleans()) if kind.startswith("status-") else None,
    )


@given(faults())
def test_a_fault_written_out_reads_back_as_the_same_fault(fault: Fault) -> None:
    assert Fault.parse(str(fault)) == fault


@given(st.text())
def test_any_text_is_a_fault_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert Fault.parse(text).kind in KINDS


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("latency", Fault("latency")),
        ("latency=100", Fault("latency", milliseconds=100)),
        ("latency=100:jitter=20", Fault("latency", milliseconds=100, jitter_ms=20)),
        ("status-500-empty:times=3", Fault("status-500-empty", times=3)),
        ("reset-after-write:rate=0.05", Fault("reset-after-write", rate=0.05)),
        ("status-429:for=30:retry-after=5", Fault("status-429", seconds=30, retry_after=5)),
        ("status-400:email=*@example.org", Fault("status-400", email="*@example.org")),
        ("status-503:method=*:path=/v3/contacts/*", Fault("status-503", method="*", path="/v3/contacts/*")),
        ("status-503:method=put", Fault("status-503", method="PUT")),
        ("status-500-empty:written=yes", Fault("status-500-empty", wrote=True)),
    ],
)
def test_the_documented_examples_mean_what_they_say(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["Known faults", "latency", "reset-after-write", "status-503"]),
        ("staus-503", ["'staus-503'", "Known faults", "status-503"]),
        ("latency=fast", ["'latency'", "a number of milliseconds", "'fast'"]),
        ("latency=nan", ["a number of milliseconds", "'nan'"]),
        ("latency=inf", ["a number of milliseconds", "'inf'"]),
        ("latency=-1", ["milliseconds must be 0 or more"]),
        ("latency=", ["a number of milliseconds"]),
        ("status-503=5", ["status-503 takes no milliseconds"]),
        ("status-503:time=3", ["'time'", "Known options", "times", "retry-after"]),
        ("status-503:times", ["'times'", "a whole number of requests"]),
        ("status-503:times=0", ["times must be 1 or more"]),
        ("status-503:times=1.5", ["a whole number of requests", "'1.5'"]),
        ("status-503:times=1:times=2", ["'times' stands twice"]),
        ("status-503:for=0", ["for must be above 0 seconds"]),
        ("status-503:rate=0", ["rate must be above 0 and at most 1"]),
        ("status-503:rate=1.1", ["rate must be above 0 and at most 1"]),
        ("status-503:email=", ["a pattern such as *@example.org"]),
        ("status-503:path=v3/contacts", ["path must begin with / or *"]),
        ("status-503:retry-after=5", ["retry-after goes with status-429 only"]),
        ("status-503:reset=5", ["reset goes with status-429 only"]),
        ("status-503:jitter=5", ["jitter goes with latency only"]),
        ("status-503:written=maybe", ["yes or no", "'maybe'"]),
        ("latency:written=no", ["latency carries its request out"]),
        ("reset-after-write:written=no", ["reset-after-write says itself when it breaks"]),
    ],
)
def test_what_is_wrong_is_named_together_with_what_there_is(text: str, names: list[str]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        Fault.parse(text)
    assert all(name in str(refused.value) for name in names), str(refused.value)


@pytest.mark.parametrize("wrong", [{"email": ""}, {"email": "a:b"}, {"method": ""}, {"jitter_ms": -1}])
def test_a_fault_that_could_not_be_written_out_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot be set"):
        Fault("latency", **wrong)  # type: ignore[arg-type]


def test_every_option_belongs_to_a_field() -> None:
    assert {field for field, _, _ in OPTIONS.values()} <= set(Fault.__dataclass_fields__)
