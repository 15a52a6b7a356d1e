import threading
from datetime import datetime, timezone

import pytest

from crm_sync_pipeline.simulators.request_log import LoggedRequest, RequestLog


def entry(path: str, status: int | None = 200, emails: tuple[str, ...] = ()) -> LoggedRequest:
    return LoggedRequest("GET", path, status, datetime.now(timezone.utc), emails, b"{}", wrote=False, fault=None)


def test_a_full_log_drops_the_oldest_and_counts_all() -> None:
    log = RequestLog(2)
    for path in ("/a", "/b", "/c"):
        log.append(entry(path))
    assert ([one.path for one in log], len(log), log.total) == (["/b", "/c"], 2, 3)
    assert (log[-1].path, [one.path for one in log[:1]]) == ("/c", ["/b"])
    assert log.statuses() == {"200": 3}


def test_a_cleared_log_starts_again() -> None:
    log = RequestLog(2)
    log.append(entry("/a", None))
    assert log.statuses() == {"none": 1}
    log.clear()
    assert (list(log), log.total, log.statuses()) == ([], 0, {})


def test_it_counts_the_contacts_in_its_requests() -> None:
    log = RequestLog(2)
    for emails in ((), ("a@example.com",), ("a@example.com", "b@example.com")):
        log.append(entry("/", emails=emails))
    assert (log.total, log.contacts) == (3, 3)
    assert [one.email for one in log] == ["a@example.com", None], "of many none is the one"
    log.clear()
    assert log.contacts == 0


def test_a_log_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RequestLog(0)


def test_a_reader_wakes_when_its_condition_holds() -> None:
    log = RequestLog(10)

    def write() -> None:
        for number in range(5):
            log.append(entry(f"/{number}"))

    writer = threading.Thread(target=write)
    writer.start()
    assert log.wait_for(lambda seen: seen.total == 5)
    writer.join()
    assert not log.wait_for(lambda seen: seen.total == 6, timeout_seconds=0.01)


def test_reading_while_it_is_written_sees_a_copy() -> None:
    log = RequestLog(50)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            log.append(entry("/a"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            assert all(one.path == "/a" for one in log)
    finally:
        done.set()
        writer.join()
