"""Acme takes one person per POST as JSON, and does its work once for each Idempotency-Key."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from crm_sync_pipeline.destinations.contract import Answer, Call, Record
from crm_sync_pipeline.destinations.destination import HttpDestination, like
from crm_sync_pipeline.destinations.entry import Entry
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.domain.outcome import Failed, Outcome, Rejected, Synced
from crm_sync_pipeline.settings import DeliveryOptions, HttpUrl, Settings


class AcmeSettings(DeliveryOptions):
    model_config = SettingsConfigDict(env_prefix="ACME_")
    required: ClassVar[Sequence[str]] = ("token",)

    token: SecretStr | None = Field(None, description="Sent as Authorization: Bearer.")
    base_url: HttpUrl = Field("https://acme.example.com", description="Where Acme is.")


class Acme(HttpDestination):
    name: ClassVar[str] = "acme"
    title: ClassVar[str] = "Acme"
    secrets: ClassVar[Mapping[str, str]] = {"token": "ACME_TOKEN"}

    token: str = Field(default="", repr=False)
    base_url: str = like(AcmeSettings, "base_url")

    @classmethod
    def from_settings(cls, settings: Settings) -> "Acme":
        return cls(**cls.alike(settings.of(AcmeSettings)))

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def headers_of_request(self, records: Sequence[Record]) -> dict[str, str]:
        return {"Idempotency-Key": records[0].idempotency_key}

    def call_for(self, contact: Contact) -> Call:
        return Call("POST", "/people", {"mail": contact.address, "name": contact.name})

    def read_success(self, answer: Answer) -> Outcome | None:
        stored = answer.data if answer.status == 200 else None
        return Synced(stored["id"], "stored") if isinstance(stored, dict) and "id" in stored else None

    def read_refusal(self, answer: Answer) -> Rejected | Failed:
        said, is_acmes = self.error_text(answer), isinstance(answer.data, dict)
        return Rejected("refused", said, may_be_ours=True) if is_acmes else Failed("unexpected_refusal", said)


REMEDIES = {"refused": "Correct what Acme's answer names"}
ACME = Entry(Crm("acme", "Acme", "acme_ref"), AcmeSettings, lambda: Acme, REMEDIES)
