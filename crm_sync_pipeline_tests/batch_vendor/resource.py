"""The vendor as a destination: what Brevo is sent of a contact, three contacts in a request."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar
from uuid import UUID

from crm_sync_pipeline.destinations.brevo.changes import Request, Step
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.destinations.contract import Answer, Call, Limits, Reading, Record, body_of
from crm_sync_pipeline.domain.contact import Contact
from crm_sync_pipeline.domain.outcome import Outcome
from crm_sync_pipeline_tests.batch_vendor.simulator import MOST


class BatchResource(Brevo):
    """Brevo's records; a request carries up to three, and its answer names a result for each, by key and address."""

    limits: ClassVar[Limits] = Limits(contacts_per_request=MOST)

    def call_for(self, contact: Contact) -> Call:
        """Brevo's payload, on the way of batches."""
        return replace(super().call_for(contact), path="/contacts/many")

    def body_of_request(self, records: Sequence[Record]) -> bytes | None:
        """All payloads, each with the contact's id as its key."""
        if not _is_batch(records):
            return super().body_of_request(records)
        rows = [{"key": str(record.contact.id), **record.call.payload} for record in records]
        return body_of({"contacts": rows})

    def reading(self, records: Sequence[Record], answer: Answer) -> Reading:
        """A look and a move are about one contact, and answered as Brevo answers them."""
        if not _is_batch(records):
            return {records[0].contact.id: self.read_for(records[0], answer)}
        return super().reading(records, answer)

    def results_in(self, records: Sequence[Record], answer: Answer) -> Iterable[tuple[UUID, Outcome]]:
        """Those results whose key and address belong together."""
        data = answer.data
        results = data.get("results") if isinstance(data, dict) else None
        return self._results(records, results) if isinstance(results, list) else ()

    def _results(self, records: Sequence[Record], results: Sequence[object]) -> Iterator[tuple[UUID, Outcome]]:
        by_key = {str(record.contact.id): record for record in records}
        for result in results:
            record = by_key.get(str(result.get("key"))) if isinstance(result, dict) else None
            if record is None or not isinstance(result, dict) or result.get("email") != record.contact.address:
                continue
            body = b"" if result.get("body") is None else json.dumps(result["body"]).encode()
            yield record.contact.id, self.read(Answer(int(result["status"]), {}, body))


def _is_batch(records: Sequence[Record]) -> bool:
    return all(isinstance(record, Request) and record.step is Step.UPSERT for record in records)
