"""crm-sync, called as its users call it: words in, text and an exit code out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from crm_sync_pipeline.cli import main
from crm_sync_pipeline.simulators.brevo import DEFAULT_KEY, BrevoSimulator
from crm_sync_pipeline.simulators.server import RunningSimulator
from crm_sync_pipeline_tests.builders import World


@dataclass(frozen=True)
class Said:
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Said]


@pytest.fixture
def crm_sync(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Calls a command in this process. An error that is not told in a sentence comes out as itself."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: object) -> Said:
        capsys.readouterr()
        code: object = 0
        try:
            main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
        captured = capsys.readouterr()
        assert isinstance(code, int) or code is None
        return Said(code or 0, captured.out, captured.err)

    return call


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


@dataclass(frozen=True)
class Shop:
    """A database with contacts, the simulator as Brevo, and the environment that names both."""

    world: World
    simulator: BrevoSimulator


@pytest.fixture
def shop(
    monkeypatch: pytest.MonkeyPatch, world: World, simulator: BrevoSimulator, brevo_server: RunningSimulator
) -> Shop:
    for name, value in {
        "DATABASE_URL": world.url,
        "BREVO_API_KEY": DEFAULT_KEY,
        "BREVO_API_BASE_URL": f"{brevo_server.base_url}/v3",
    }.items():
        monkeypatch.setenv(name, value)
    return Shop(world, simulator)
