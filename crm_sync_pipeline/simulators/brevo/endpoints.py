"""Brevo's paths and methods, and what each of them reads from a request."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crm_sync_pipeline.simulators.brevo import lists
from crm_sync_pipeline.simulators.brevo.answers import (
    NO_CONTENT,
    NO_PROCESS,
    NOT_JSON,
    NOT_JSON_TYPE,
    Refused,
)
from crm_sync_pipeline.simulators.brevo.config import BrevoConfig
from crm_sync_pipeline.simulators.brevo.contacts import update, upsert
from crm_sync_pipeline.simulators.brevo.imports import Imports, read_order
from crm_sync_pipeline.simulators.brevo.reads import find_contact, page, selected, shown_contact
from crm_sync_pipeline.simulators.brevo.state import Account
from crm_sync_pipeline.simulators.brevo.values import natural_number
from crm_sync_pipeline.simulators.exchange import Answer, Request, json_answer
from crm_sync_pipeline.simulators.limiter import Clock

Handler = Callable[..., Answer]
Routes = Sequence[tuple[re.Pattern[str], Mapping[str, Handler]]]

# What reference/get-account documents, for nobody in particular.
ACCOUNT: Mapping[str, Any] = {
    "organization_id": "5fa2b8c123456789abcdef01",
    "user_id": 1,
    "enterprise": False,
    "companyName": "Simulated Company",
    "email": "owner@example.com",
    "firstName": "Simulated",
    "lastName": "Owner",
    "address": {"street": "1 Example Street", "city": "Paris", "zipCode": "75001", "country": "France"},
    "dateTimePreferences": {"timezone": "Europe/Paris", "timeFormat": "24", "dateFormat": "dd-mm-yyyy"},
    "plan": [{"type": "free", "credits": 300, "creditsType": "sendLimit"}],
    "relay": {
        "enabled": False,
        "data": {"userName": "owner@example.com", "relay": "smtp-relay.brevo.com", "port": 587},
    },
    "marketingAutomation": {"enabled": False},
}


class BrevoEndpoints:
    """The endpoints of one account. Each takes the request and what its path holds, and answers or is `Refused`."""

    def __init__(self, account: Account, config: BrevoConfig, imports: Imports, clock: Clock) -> None:
        self._account = account
        self._config = config
        self._imports = imports
        self._clock = clock

    def routes(self) -> Routes:
        """List the paths below /v3, the busiest first."""
        account = self._account
        table: dict[str, dict[str, Handler]] = {
            r"/contacts": {"POST": self.create_contact, "GET": self.contacts},
            r"/contacts/import": {"POST": self.start_import},
            r"/contacts/attributes": {"GET": lambda _: lists.all_attributes(account)},
            r"/contacts/attributes/([^/]+)/([^/]+)": {
                "POST": lambda request, category, name: lists.create_attribute(
                    account, category, name, body_of(request)
                )
            },
            r"/contacts/folders": {
                "GET": lambda request: lists.all_folders(account, request.query()),
                "POST": lambda request: lists.create_folder(account, body_of(request)),
            },
            r"/contacts/lists": {
                "GET": lambda request: lists.all_lists(account, request.query()),
                "POST": lambda request: lists.create_list(account, body_of(request)),
            },
            r"/contacts/lists/([0-9]{1,18})": {"GET": lambda _, number: lists.one_list(account, int(number))},
            r"/contacts/lists/([0-9]{1,18})/contacts": {
                "GET": lambda request, number: lists.list_contacts(account, int(number), request.query())
            },
            r"/contacts/lists/([0-9]{1,18})/contacts/add": {
                "POST": lambda request, number: lists.add_to_list(account, int(number), body_of(request))
            },
            r"/contacts/lists/([0-9]{1,18})/contacts/remove": {
                "POST": lambda request, number: lists.remove_from_list(account, int(number), body_of(request))
            },
            r"/contacts/([^/]+)": {
                "GET": self.contact,
                "PUT": self.update_contact,
                "DELETE": self.delete_contact,
            },
            r"/processes": {"GET": self.processes},
            r"/processes/([^/]+)": {"GET": self.process},
            r"/account": {"GET": lambda _: json_answer(200, ACCOUNT)},
        }
        return [(re.compile(path), methods) for path, methods in table.items()]

    def create_contact(self, request: Request) -> Answer:
        """POST /v3/contacts."""
        return upsert(self._account, self._config, body_of(request))

    def contacts(self, request: Request) -> Answer:
        """GET /v3/contacts; `count` is how many match, on whatever page."""
        query = request.query()
        found = selected(tuple(self._account.contacts.values()), query)
        shown = [shown_contact(contact) for contact in page(found, query, default=50, most=1000)]
        return json_answer(200, {"contacts": shown, "count": len(found)})

    def contact(self, request: Request, identifier: str) -> Answer:
        """GET /v3/contacts/{identifier}."""
        contact = find_contact(self._account, identifier, request.query(), also_phone=True)
        return json_answer(200, {**shown_contact(contact), "statistics": {}})

    def update_contact(self, request: Request, identifier: str) -> Answer:
        """PUT /v3/contacts/{identifier}."""
        body = body_of(request)
        return update(self._account, self._config, find_contact(self._account, identifier, request.query()), body)

    def delete_contact(self, request: Request, identifier: str) -> Answer:
        """DELETE /v3/contacts/{identifier}."""
        self._account.delete(find_contact(self._account, identifier, request.query()))
        return NO_CONTENT

    def start_import(self, request: Request) -> Answer:
        """POST /v3/contacts/import: 202 with the number of the process."""
        order = read_order(self._account, self._config, body_of(request), len(request.body))
        process = self._imports.start(order, self._clock())
        return json_answer(202, {"processId": process.id})

    def processes(self, request: Request) -> Answer:
        """GET /v3/processes."""
        every = tuple(self._imports.processes.values())
        shown = [
            self._imports.shown(process, self._clock(), files_url(request))
            for process in page(every, request.query(), default=10, most=50)
        ]
        return json_answer(200, {"count": len(every), "processes": shown})

    def process(self, request: Request, number: str) -> Answer:
        """GET /v3/processes/{id}."""
        process_id = natural_number(number)
        process = None if process_id is None else self._imports.processes.get(process_id)
        if process is None:
            raise Refused(NO_PROCESS)
        return json_answer(200, self._imports.shown(process, self._clock(), files_url(request)))


def body_of(request: Request) -> Mapping[str, Any]:
    """Read a body that must be a JSON object, and labelled JSON. `Refused` with 400 otherwise."""
    content_type = request.header(b"content-type") or ""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(NOT_JSON_TYPE)
    try:
        body = request.json()
    except ValueError:
        raise Refused(NOT_JSON) from None
    if not isinstance(body, dict):
        raise Refused(NOT_JSON)
    return body


def files_url(request: Request) -> str:
    """Say where failure files are, under the address that the client knows this server by."""
    return f"http://{request.header(b'host') or '127.0.0.1'}/simulator/imports"
