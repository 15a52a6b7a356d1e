"""HubSpot's paths and methods, what each reads from a request, and the scopes that it needs."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from crm_sync_pipeline.simulators.exchange import Answer, Request, json_answer
from crm_sync_pipeline.simulators.hubspot import properties
from crm_sync_pipeline.simulators.hubspot.answers import NO_CONTENT, Problem, Refused, bad_json
from crm_sync_pipeline.simulators.hubspot.batch import STRICT_SINCE, Batches
from crm_sync_pipeline.simulators.hubspot.config import READ, READ_SCHEMAS, WRITE, WRITE_SCHEMAS, HubspotConfig
from crm_sync_pipeline.simulators.hubspot.contacts import SHOWN_BY_DEFAULT, Contacts
from crm_sync_pipeline.simulators.hubspot.state import Account

VERSIONS = ("v3", "2026-03", "2026-09")


class Endpoint(NamedTuple):
    """The scopes of which the token needs one, and what answers the request, the version and the path's parts."""

    scopes: Sequence[str]
    handle: Callable[..., Answer]


Routes = Sequence[tuple[re.Pattern[str], Mapping[str, Endpoint]]]


class HubspotEndpoints:
    """The endpoints of one account. Each takes the request and what its path holds, and answers or is `Refused`."""

    def __init__(self, account: Account, config: HubspotConfig) -> None:
        self._account = account
        self._config = config
        self._contacts = Contacts(account, config)
        self._batches = Batches(account, self._contacts, config)

    def routes(self) -> Routes:
        """List the paths, the busiest first. The first group of each is the version."""
        known, batches = self._account.properties, self._batches
        any_read = (READ, READ_SCHEMAS)
        objects: dict[str, dict[str, Endpoint]] = {
            "/batch/upsert": {"POST": _batch((WRITE,), batches.upsert)},
            "/batch/update": {"POST": _batch((WRITE,), batches.update)},
            "/batch/read": {"POST": _batch((READ,), batches.read)},
            "/batch/create": {"POST": _batch((WRITE,), batches.create)},
            "/gdpr-delete": {"POST": Endpoint((WRITE,), self.gdpr_delete)},
            "": {"POST": Endpoint((WRITE,), self.create)},
            "/([^/]+)": {
                "GET": Endpoint((READ,), self.read),
                "PATCH": Endpoint((WRITE,), self.update),
                "DELETE": Endpoint((WRITE,), self.archive),
            },
        }
        schemas: dict[str, dict[str, Endpoint]] = {
            "": {
                "GET": Endpoint(any_read, lambda *_: _results(map(properties.shown_property, known.values()))),
                "POST": Endpoint(
                    (WRITE_SCHEMAS,), lambda request, _: properties.create_property(known, body_of(request))
                ),
            },
            "/([^/]+)": {"GET": Endpoint(any_read, lambda _, __, name: properties.one_property(known, name))},
        }
        rules = {"": {"GET": Endpoint(any_read, lambda *_: properties.validation_rules(known))}}
        details = {"": {"GET": Endpoint((), self.account_details)}}
        return [
            *_below(r"/crm/(v3)/objects/(?:contacts|0-1)", r"/crm/objects/({})/(?:contacts|0-1)", objects),
            *_below(r"/crm/(v3)/properties/(?:contacts|0-1)", r"/crm/properties/({})/(?:contacts|0-1)", schemas),
            *_below(r"/crm/(v3)/property-validations/0-1", r"/crm/property-validations/({})/0-1", rules),
            *_below(r"/account-info/(v3)/details", r"/account-info/({})/details", details),
        ]

    def create(self, request: Request, version: str) -> Answer:
        """POST: 201 with the contact, 409 where the address is taken."""
        sent = body_of(request).get("properties")
        contact = self._contacts.create(sent, strict=version != "v3" and version >= STRICT_SINCE)
        return json_answer(201, self._contacts.shown_after_write(contact, sent or ()))

    def read(self, request: Request, _version: str, identifier: str) -> Answer:
        """GET, by id or idProperty=email."""
        query = request.query()
        names = [name for each in query.get("properties", []) for name in each.split(",")]
        contact = self._contacts.find(identifier, _id_property(request))
        return json_answer(200, self._contacts.shown(contact, names or SHOWN_BY_DEFAULT))

    def update(self, request: Request, _version: str, identifier: str) -> Answer:
        """PATCH, by id or idProperty=email."""
        sent = body_of(request).get("properties")
        contact = self._contacts.update(self._contacts.find(identifier, _id_property(request)), sent)
        return json_answer(200, self._contacts.shown_after_write(contact, sent or ()))

    def archive(self, _request: Request, _version: str, identifier: str) -> Answer:
        """DELETE: 204, for nobody too (unverified)."""
        contact = self._account.contacts.get(identifier)
        if contact is not None:
            self._account.archive(contact)
        return NO_CONTENT

    def gdpr_delete(self, request: Request, _version: str) -> Answer:
        """POST .../gdpr-delete: 204."""
        body = body_of(request)
        if not body.get("objectId"):
            raise Refused(Problem(400, "VALIDATION_ERROR", "Some required fields were not set: [objectId]"))
        self._contacts.erase(str(body["objectId"]), body.get("idProperty"))
        return NO_CONTENT

    def account_details(self, _request: Request, _version: str) -> Answer:
        """GET /account-info/v3/details, for nobody in particular."""
        offset = self._account.now().astimezone(ZoneInfo(self._config.time_zone)).utcoffset() or timedelta(0)
        minutes = round(offset.total_seconds() / 60)
        sign = "-" if minutes < 0 else "+"
        return json_answer(
            200,
            {
                "portalId": self._config.portal_id,
                "accountType": "STANDARD",
                "timeZone": self._config.time_zone,
                "companyCurrency": "EUR",
                "additionalCurrencies": [],
                "utcOffset": f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}",
                "utcOffsetMilliseconds": minutes * 60_000,
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            },
        )


def _batch(scopes: Sequence[str], carry_out: Callable[[Mapping[str, Any], str], Answer]) -> Endpoint:
    return Endpoint(scopes, lambda request, version: carry_out(body_of(request), version))


def _results(items: Any) -> Answer:
    return json_answer(200, {"results": list(items)})


def _below(v3: str, dated: str, table: Mapping[str, Mapping[str, Endpoint]]) -> Routes:
    prefixes = (v3, dated.format("|".join(VERSIONS[1:])))
    return [(re.compile(prefix + path), methods) for prefix in prefixes for path, methods in table.items()]


def _id_property(request: Request) -> str | None:
    return request.query().get("idProperty", [None])[0]


def body_of(request: Request) -> Mapping[str, Any]:
    """Read a body that must be a JSON object. `Refused` with 400 otherwise."""
    try:
        body = request.json()
    except ValueError:
        raise Refused(bad_json("Unexpected end-of-input", 1)) from None
    if not isinstance(body, dict):
        kind = "Array" if isinstance(body, list) else "String"
        raise Refused(
            bad_json(
                "Cannot deserialize value of type `java.util.LinkedHashMap<java.lang.String,java.lang.Object>` from "
                f"{kind} value (token `JsonToken.START_{kind.upper()}`)"
            )
        )
    return body
