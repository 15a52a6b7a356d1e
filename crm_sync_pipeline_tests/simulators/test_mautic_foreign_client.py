"""mautic-cli, which others wrote, drives the simulator, as a library and by its command line."""

import importlib
import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from crm_sync_pipeline.simulators.mautic import (
    DEFAULT_CLIENT,
    DEFAULT_PASSWORD,
    DEFAULT_SECRET,
    DEFAULT_USER,
    MauticSimulator,
)
from crm_sync_pipeline.simulators.server import RunningSimulator, running

mautic_cli = pytest.importorskip("mautic_cli.client", reason="mautic-cli needs Python 3.11")
Client = Any


@pytest.fixture(scope="module")
def mautic_served() -> Iterator[tuple[MauticSimulator, RunningSimulator]]:
    simulator = MauticSimulator()
    with running(simulator.app) as server:
        yield simulator, server


@pytest.fixture
def mautic(mautic_served: tuple[MauticSimulator, RunningSimulator]) -> MauticSimulator:
    simulator, _ = mautic_served
    simulator.reset()
    return simulator


@pytest.fixture
def client(mautic: MauticSimulator, mautic_served: tuple[MauticSimulator, RunningSimulator]) -> Iterator[Client]:
    _ = mautic
    base_url = mautic_served[1].base_url
    made = mautic_cli.MauticClient(
        {
            "base_url": base_url,
            "auth_method": "oauth2",
            "client_id": DEFAULT_CLIENT,
            "client_secret": DEFAULT_SECRET,
            "token_endpoint": f"{base_url}/oauth/v2/token",
        }
    )
    yield made
    made.close()


Run = Callable[[str], Any]


@pytest.fixture
def run(
    mautic: MauticSimulator,
    mautic_served: tuple[MauticSimulator, RunningSimulator],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Run]:
    """Run a command line of mautic-cli with basic auth; what it printed, as JSON."""
    _ = mautic
    commands = importlib.import_module("mautic_cli.cli")
    clients: list[Client] = []

    def kept(*args: Any, **options: Any) -> Client:
        clients.append(mautic_cli.MauticClient(*args, **options))
        return clients[-1]

    monkeypatch.setattr(commands, "MauticClient", kept)  # its commands leave their connections open
    monkeypatch.setenv("MAUTIC_BASE_URL", mautic_served[1].base_url)
    monkeypatch.setenv("MAUTIC_USERNAME", DEFAULT_USER)
    monkeypatch.setenv("MAUTIC_PASSWORD", DEFAULT_PASSWORD)

    def of(line: str) -> Any:
        result = CliRunner().invoke(commands.cli, shlex.split(line), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    yield of
    for client in clients:
        client.close()


def test_it_finds_out_the_version(client: Client) -> None:
    assert client.detect_version() == (5, 1, 1)


def test_it_creates_reads_changes_and_deletes_a_contact(client: Client, mautic: MauticSimulator) -> None:
    made = client.post("/contacts/new", json={"email": "jane@example.com", "firstname": "Jane", "tags": ["vip"]})
    contact_id = made["contact"]["id"]
    client.patch(f"/contacts/{contact_id}/edit", json={"lastname": "Doe"})
    read = client.get(f"/contacts/{contact_id}")["contact"]
    assert (read["fields"]["all"]["firstname"], read["fields"]["all"]["lastname"]) == ("Jane", "Doe")
    assert mautic.contacts["jane@example.com"].tags == ("vip",)
    client.delete(f"/contacts/{contact_id}/delete")
    assert not mautic.instance.contacts


def test_it_pages_through_all_contacts(client: Client) -> None:
    client.post("/contacts/batch/new", json=[{"email": f"p{number}@example.com"} for number in range(45)])
    found = list(client.get_all("/contacts", resource_key="contacts", limit=20))
    assert [each["id"] for each in found] == list(range(1, 46))


def test_it_sends_a_batch_with_a_bad_row(client: Client) -> None:
    answer = client.post("/contacts/batch/new", json=[{"email": "foo@"}, {"email": "jane@example.com"}])
    assert (answer["statusCodes"], answer["contacts"]["1"]["id"]) == ([400, 201], 1)
    assert answer["errors"][0]["message"] == "email: foo@ is invalid."


def test_it_renews_a_token_that_was_revoked(client: Client, mautic: MauticSimulator) -> None:
    mautic.revoke_tokens()
    assert client.get("/contacts")["total"] == "0"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [("/contacts/9", 404, "Item was not found."), ("/segments/9", 404, "Item was not found.")],
)
def test_it_reads_the_errors(client: Client, path: str, status: int, message: str) -> None:
    with pytest.raises(mautic_cli.MauticApiError) as missing:
        client.get(path)
    assert (missing.value.code, missing.value.message) == (status, message)


def test_it_reads_that_the_api_is_off(client: Client, mautic: MauticSimulator) -> None:
    mautic.switches.api_enabled = False
    with pytest.raises(mautic_cli.MauticApiError) as off:
        client.get("/contacts")
    assert (off.value.code, off.value.error_type) == (403, "api_disabled")


def test_it_is_refused_a_token_for_another_client(
    mautic: MauticSimulator, mautic_served: tuple[MauticSimulator, RunningSimulator]
) -> None:
    _ = mautic
    base_url = mautic_served[1].base_url
    wrong = {"base_url": base_url, "auth_method": "oauth2", "client_id": DEFAULT_CLIENT, "client_secret": "other"}
    with pytest.raises(mautic_cli.MauticApiError, match="The client credentials are invalid"):
        mautic_cli.MauticClient({**wrong, "token_endpoint": f"{base_url}/oauth/v2/token"})


def test_its_commands_make_contacts_fields_and_members(run: Run, mautic: MauticSimulator) -> None:
    made = run("""contacts create --json '{"email":"jane@example.com"}'""")
    contact_id = made["contact"]["id"]
    assert run(f"contacts add-to-segment {contact_id} 1") == {"success": 1}
    assert mautic.contacts["jane@example.com"].segments == {1}
    assert run("contacts list --search email:jane@example.com")["total"] == "1"
    assert run("segments get 1")["list"]["alias"] == "contacts"
    assert run("""fields create --json '{"label":"Size","alias":"size"}'""")["field"]["alias"] == "size"
    assert "size" in [field["alias"] for field in run("fields list --limit 100")["fields"]]
    assert run("version")["mautic_version"] == "5.1.1"
