"""The result of an import of many contacts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from crm_sync_pipeline.domain.address import normal_form
from crm_sync_pipeline.domain.outcome import Outcome


def address_hash(address: str, import_id: UUID) -> str:
    """32 hex digits for an address, by which a failed row is known again; another import has others for it."""
    return hashlib.blake2b(
        normal_form(address).encode("utf-8", "replace"), digest_size=16, key=import_id.bytes
    ).hexdigest()


@dataclass(frozen=True, slots=True)
class Results:
    """The result of an import: the outcome of addresses that have one of their own, and that of all the others."""

    others: Outcome
    by_address_hash: Mapping[str, Outcome] = field(default_factory=dict)

    def of(self, address_hash: str) -> Outcome:
        """One contact's outcome."""
        return self.by_address_hash.get(address_hash, self.others)
