"""A destination that another package brings: handed to build_definitions, and served as ours are."""

import json
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import dagster as dg
import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.definitions import build_definitions
from crm_sync_pipeline.destinations import DESTINATIONS, load_settings
from crm_sync_pipeline.destinations.contract import Answer, Call
from crm_sync_pipeline.destinations.destination import HttpDestination, NotReadyError
from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.domain.outcome import DestinationDown, Outcome, Rejected, Synced
from crm_sync_pipeline.monitoring.readiness import check
from crm_sync_pipeline.settings import Settings, SettingsError
from crm_sync_pipeline.settings.groups import DeliveryOptions
from crm_sync_pipeline_tests.builders import World


class AcmeSettings(DeliveryOptions):
    model_config = SettingsConfigDict(env_prefix="ACME_")

    required: ClassVar[Sequence[str]] = ("token",)

    token: SecretStr | None = None
    url: str = "https://acme.example.com"


class Acme(HttpDestination):
    name: ClassVar[str] = "acme"
    title: ClassVar[str] = "Acme"
    secrets: ClassVar[Mapping[str, str]] = {"token": "ACME_TOKEN"}

    token: str = ""

    @classmethod
    def from_settings(cls, settings: Settings) -> "Acme":
        acme = settings.of(AcmeSettings)
        token = acme.token.get_secret_value() if acme.token else ""
        return cls(**cls.alike(acme) | {"base_url": acme.url, "token": token})

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def call_for(self, contact: Contact) -> Call:
        return Call("PUT", "/people", {"mail": contact.address})

    def read_success(self, answer: Answer) -> Outcome | None:
        return Synced(reason="stored") if answer.status == 200 else None

    def read_refusal(self, answer: Answer) -> Rejected:
        return Rejected("refused", self.error_text(answer))

    def read_setup_fault(self, answer: Answer) -> DestinationDown:
        return DestinationDown(f"http_{answer.status}", self.error_text(answer))


ACME = Entry(Crm("acme", "Acme", "acme_ref"), AcmeSettings, lambda: Acme)


class _People(BaseHTTPRequestHandler):
    sent: ClassVar[list[tuple[str, Any]]] = []

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.sent.append((self.headers["Authorization"], body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        return


@pytest.fixture
def people() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _People)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("others", [{}, DESTINATIONS], ids=["alone", "beside ours"])
def test_its_contacts_are_selected_in_the_launchpad_and_delivered_by_its_own_job(
    monkeypatch: pytest.MonkeyPatch, empty: World, people: str, others: dict[str, Entry]
) -> None:
    _People.sent.clear()
    for name, value in {"DATABASE_URL": empty.url, "ACME_TOKEN": "sesame", "ACME_URL": people}.items():
        monkeypatch.setenv(name, value)
    destinations = {**others, "acme": ACME}
    Database(url=empty.url, crms={"acme": ACME.crm}).upgrade(lambda _line: None)
    empty.execute("INSERT INTO contacts (email) VALUES ('ann@example.com')")

    definitions = build_definitions(destinations=destinations)
    dg.Definitions.validate_loadable(definitions)
    form = {"crms": ["acme"], "everything": True, "dry_run": False}
    config = {"ops": {"select_or_unselect": {"config": form}}}
    assert definitions.resolve_job_def("select_contacts").execute_in_process(run_config=config).success
    assert definitions.resolve_job_def("acme_sync").execute_in_process().success

    assert _People.sent == [("Bearer sesame", {"mail": "ann@example.com"})]
    assert empty.rows("SELECT acme_sync_status, acme_processing_status FROM contacts") == [
        {"acme_sync_status": "Complete", "acme_processing_status": "Complete"}
    ]


def test_settings_that_were_read_without_it_are_refused_in_a_sentence() -> None:
    with pytest.raises(SettingsError, match=r"^AcmeSettings was not read"):
        build_definitions(load_settings(), destinations={"acme": ACME})


def test_a_missing_setting_of_its_own_is_a_red_line_in_its_own_words(empty: World) -> None:
    class Locked(Acme):
        def require_ready(self) -> None:
            raise NotReadyError("ACME_TOKEN is not set. Nothing was sent. Set it.")

    report = check(Database(url=empty.url, crms={"acme": ACME.crm}), Locked(base_url="http://x"))

    assert [line.name for line in report.lines if "ACME_TOKEN" in line.says] == ["Account"]


def test_it_has_its_own_schedule_sensor_and_catalogue_and_its_triggers_wait_for_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@db.example.com/crm")
    definitions = build_definitions(destinations={"acme": ACME})

    repository = definitions.get_repository_def()
    schedule = definitions.resolve_schedule_def("acme_sync_schedule")

    assert {sensor.name for sensor in repository.sensor_defs} == {"acme_queue_sensor", "alert_sensor"}
    assert schedule.description is not None
    assert "ACME_TOKEN is not set" in schedule.description
    assert (definitions.resources or {}).keys() == {"database", "acme", "io_manager", "open_claims"}
