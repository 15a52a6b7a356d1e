"""Mautic's paths and methods, and what each of them reads from a request."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from crm_sync_pipeline.simulators.exchange import Answer, Request, json_answer
from crm_sync_pipeline.simulators.mautic.answers import (
    BAD_REQUEST,
    BATCH_LIMIT,
    FORBIDDEN,
    MISSING,
    NO_REASON,
    NOT_JSON,
    NOT_ROWS,
    Refused,
    as_php,
    batch_too_large,
    error,
)
from crm_sync_pipeline.simulators.mautic.config import MauticConfig, Switches
from crm_sync_pipeline.simulators.mautic.contacts import MANUAL, Writes
from crm_sync_pipeline.simulators.mautic.reads import (
    listed_contacts,
    page,
    shown_contact,
    shown_field,
    shown_segment,
)
from crm_sync_pipeline.simulators.mautic.state import Instance, MauticContact, Segment

Handler = Callable[..., Answer]
Routes = Sequence[tuple[re.Pattern[str], Mapping[str, Handler]]]

DEFAULT_CHAR_LENGTH = 64  # of a text field that is made without one; unverified
LONGEST_ALIAS = 25


class MauticEndpoints:
    """The endpoints of one instance. Each takes the request and what its path holds, and answers or is `Refused`."""

    def __init__(self, instance: Instance, config: MauticConfig, switches: Switches) -> None:
        self._instance = instance
        self._config = config
        self._writes = Writes(instance, config, switches)

    def routes(self) -> Routes:
        """List the paths below /api, the busiest first."""
        table: dict[str, dict[str, Handler]] = {
            "/contacts/batch/new": {"POST": lambda request: self._writes.create_batch(self._rows_of(request))},
            "/contacts/batch/edit": {"PATCH": self.edit_batch, "PUT": self.edit_batch},
            "/contacts/new": {"POST": lambda request: self._writes.create(body_of(request))},
            r"/contacts/(\d+)/edit": {"PATCH": self.edit, "PUT": self.edit},
            r"/contacts/(\d+)/delete": {"DELETE": self.delete},
            r"/contacts/(\d+)/dnc/(\w+)/add": {"POST": self.add_do_not_contact},
            r"/contacts/(\d+)/dnc/(\w+)/remove": {"POST": self.remove_do_not_contact},
            r"/contacts/(\d+)": {"GET": self.contact},
            "/contacts": {"GET": self.contacts},
            "/fields/contact": {"GET": self.fields},
            "/fields/contact/new": {"POST": self.create_field},
            "/segments": {"GET": self.segments},
            r"/segments/(\d+)": {"GET": self.segment},
            r"/segments/(\d+)/contacts/add": {"POST": self.join_segment},
            r"/segments/(\d+)/contact/(\d+)/add": {"POST": self.add_one_to_segment},
        }
        return [(re.compile(path), methods) for path, methods in table.items()]

    def edit_batch(self, request: Request) -> Answer:
        """PATCH or PUT contacts/batch/edit."""
        return self._writes.edit_batch(self._rows_of(request), request.method)

    def edit(self, request: Request, number: str) -> Answer:
        """PATCH or PUT contacts/{id}/edit."""
        return self._writes.edit(int(number), body_of(request), request.method)

    def contact(self, _: Request, number: str) -> Answer:
        """GET contacts/{id}."""
        contact = self._contact(number)
        self._writes.require("contacts:view")
        return json_answer(200, {"contact": shown_contact(self._instance, contact)})

    def contacts(self, request: Request) -> Answer:
        """GET contacts."""
        self._writes.require("contacts:view")
        return listed_contacts(self._instance, request.query())

    def delete(self, _: Request, number: str) -> Answer:
        """DELETE contacts/{id}/delete: 200 with the contact as it was, without its id (unverified)."""
        contact = self._contact(number)
        self._writes.require("contacts:delete")
        self._instance.delete(contact)
        return json_answer(200, {"contact": {**shown_contact(self._instance, contact), "id": None}})

    def add_do_not_contact(self, request: Request, number: str, channel: str) -> Answer:
        """POST contacts/{id}/dnc/{channel}/add."""
        contact = self._contact(number)
        self._writes.require("contacts:edit")
        reason = body_of(request).get("reason", MANUAL)
        if not str(reason).isdecimal() or not int(reason):
            raise Refused(NO_REASON)
        return self._blocked(contact, {**contact.do_not_contact, channel: int(reason)}, {})

    def remove_do_not_contact(self, _: Request, number: str, channel: str) -> Answer:
        """POST contacts/{id}/dnc/{channel}/remove."""
        contact = self._contact(number)
        self._writes.require("contacts:edit")
        left = {name: reason for name, reason in contact.do_not_contact.items() if name != channel}
        return self._blocked(contact, left, {"recordFound": channel in contact.do_not_contact})

    def fields(self, request: Request) -> Answer:
        """GET fields/contact: those that are not published too."""
        self._writes.require("fields")
        every = tuple(self._instance.fields.values())
        shown = [shown_field(each) for each in page(every, request.query())]
        return json_answer(200, {"total": len(every), "fields": shown})

    def create_field(self, request: Request) -> Answer:
        """POST fields/contact/new: 201, or 202 where a cron job makes the column; then it is not published yet."""
        self._writes.require("fields")
        body = body_of(request)
        label, kind = str(body.get("label") or ""), str(body.get("type") or "text")
        if not label:
            return error(400, "label: A label is required.", {"label": ["A label is required."]})  # unverified
        properties = body.get("properties")
        labels = properties if isinstance(properties, dict) else {}
        for name, word in (("yes", "positive"), ("no", "negative")):
            if kind == "boolean" and not labels.get(name):
                return error(400, f"A '{word}' label is required.")
        limit = body.get("charLengthLimit") or DEFAULT_CHAR_LENGTH
        made = self._instance.add_field(
            self._free_alias(str(body.get("alias") or label)),
            label,
            kind,
            group=str(body.get("group") or "core"),
            is_published=not self._config.fields_in_background,
            char_length_limit=int(limit),
        )
        return json_answer(202 if self._config.fields_in_background else 201, {"field": shown_field(made)})

    def segments(self, request: Request) -> Answer:
        """GET segments."""
        self._writes.require("segments")
        every = tuple(self._instance.segments.values())
        shown = {str(each.id): shown_segment(each) for each in page(every, request.query())}
        return json_answer(200, {"total": len(every), "lists": shown})

    def segment(self, _: Request, number: str) -> Answer:
        """GET segments/{id}."""
        found = self._segment(number)
        self._writes.require("segments")
        return json_answer(200, {"list": shown_segment(found)})

    def join_segment(self, request: Request, number: str) -> Answer:
        """POST segments/{id}/contacts/add {"ids": [...]}: success 1 whatever became of each."""
        ids = body_of(request).get("ids")
        if ids is None:
            raise Refused(BAD_REQUEST)
        segment = self._open_segment(number)
        details: dict[int, dict[str, bool]] = {}
        for contact_id in (int(each) for each in ids if str(each).isdecimal()):
            contact = self._instance.contacts.get(contact_id)
            if contact:
                self._join(contact, segment)
            details[contact_id] = {"success": contact is not None}
        return json_answer(200, {"success": 1, "details": as_php(details)})

    def add_one_to_segment(self, _: Request, number: str, contact_number: str) -> Answer:
        """POST segments/{id}/contact/{contact id}/add."""
        segment = self._open_segment(number)
        self._join(self._contact(contact_number), segment)
        return json_answer(200, {"success": 1})

    def _join(self, contact: MauticContact, segment: Segment) -> None:
        self._instance.save(replace(contact, segments=contact.segments | {segment.id}))

    def _blocked(self, contact: MauticContact, reasons: Mapping[str, int], also: Mapping[str, Any]) -> Answer:
        saved = replace(contact, do_not_contact=reasons)
        self._instance.save(saved)
        return json_answer(200, {**also, "contact": shown_contact(self._instance, saved)})

    def _contact(self, number: str) -> MauticContact:
        contact = self._instance.contacts.get(int(number))
        if contact is None:
            raise Refused(MISSING)
        return contact

    def _segment(self, number: str) -> Segment:
        segment = self._instance.segments.get(int(number))
        if segment is None:
            raise Refused(MISSING)
        return segment

    def _open_segment(self, number: str) -> Segment:
        """A segment that can be joined: from the code, one that is not published is not ours to use."""
        segment = self._segment(number)
        self._writes.require("segments")
        if not segment.is_published:
            raise Refused(FORBIDDEN)
        return segment

    def _free_alias(self, wanted: str) -> str:
        """An alias in Mautic's form, cut at 25 letters, with a number where it is taken. Unverified in its corners."""
        alias = re.sub(r"[^a-z0-9_]+", "_", wanted.lower()).strip("_")[:LONGEST_ALIAS] or "f_"
        number, free = 0, alias
        while free in self._instance.fields:
            number += 1
            free = f"{alias}{number}"
        return free

    def _rows_of(self, request: Request) -> Sequence[Mapping[str, Any]]:
        """The rows of a batch. `Refused` for more than 200 of them: 500 in the versions that most have."""
        try:
            rows = request.json()
        except ValueError:
            raise Refused(NOT_JSON) from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Refused(NOT_ROWS)
        if len(rows) > BATCH_LIMIT:
            raise Refused(batch_too_large(self._config.over_limit_status))
        return rows


def body_of(request: Request) -> Mapping[str, Any]:
    """Read a body for one contact, JSON or a form: a=1&tags[]=x. None at all is an empty one."""
    if not request.body:
        return {}
    if "json" not in (request.header(b"content-type") or ""):
        return _form(request.body.decode("utf-8", "replace"))
    try:
        body = request.json()
    except ValueError:
        raise Refused(NOT_JSON) from None
    if not isinstance(body, dict):
        raise Refused(NOT_ROWS)
    return body


def _form(text: str) -> Mapping[str, Any]:
    read: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name.endswith("[]"):
            read.setdefault(name[:-2], []).append(value)
        else:
            read[name] = value
    return read
