"""The properties of contacts: HubSpot's own and custom ones, what their values may be, how they are shown and made.

Sources: https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide, /crm-property-validations-v3/guide.
The codes in the errors, but for INVALID_EMAIL and PROPERTY_DOESNT_EXIST, were each seen once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from crm_sync_pipeline.simulators.exchange import Answer, json_answer
from crm_sync_pipeline.simulators.hubspot.answers import (
    NOT_FOUND,
    Problem,
    Refused,
    bad_json,
    error,
    invalid_value,
    invalid_values,
)

LONGEST_VALUE = 65_536

# Documented: which fieldType goes with which type.
FIELD_TYPES: Mapping[str, Sequence[str]] = {
    "string": ("text", "textarea", "phonenumber", "file", "html", "calculation_equation"),
    "number": ("number", "calculation_equation"),
    "bool": ("booleancheckbox", "calculation_equation"),
    "enumeration": ("select", "radio", "checkbox", "booleancheckbox", "calculation_equation"),
    "date": ("date",),
    "datetime": ("date",),
}

# Unverified in its corners: HubSpot publishes no grammar.
_EMAIL = re.compile(
    r"(?=.{6,254}\Z)(?=[^@]{1,64}@)"
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
)


@dataclass(frozen=True, slots=True)
class Property:
    """One property. `options` are the internal values of an enumeration; `rule` is a validation rule and its arguments.

    A rule is an administrator's: ("MAX_LENGTH", "20"), ("MIN_LENGTH", "2") or ("REGEX", "[A-Z]+").
    """

    name: str
    type: str = "string"
    field_type: str = "text"
    label: str = ""
    group: str = "contactinformation"
    options: tuple[str, ...] = ()
    read_only: bool = False
    unique: bool = False
    own: bool = False
    rule: tuple[str, str] | None = None


def _own(names: str, kind: str = "string", field_type: str = "text", **more: Any) -> list[Property]:
    return [Property(name, kind, field_type, own=True, **more) for name in names.split()]


STAGES = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "other")

OWN_PROPERTIES: Sequence[Property] = (
    *_own("email", unique=True),
    *_own("firstname lastname company website jobtitle address city state zip country hs_additional_emails"),
    *_own("phone mobilephone", field_type="phonenumber"),
    *_own("lifecyclestage", "enumeration", "radio", options=STAGES),
    *_own("hs_email_optout", "bool", "booleancheckbox", read_only=True),
    *_own("createdate lastmodifieddate", "datetime", "date", read_only=True),
    *_own("hs_object_id", "number", "number", read_only=True),
)


def read_values(sent: object, known: Mapping[str, Property]) -> dict[str, str]:
    """Read properties into the text that will be stored; "" empties one. `Refused` with all that is wrong."""
    if not isinstance(sent, dict):
        raise Refused(bad_json("Cannot deserialize value of type `java.util.LinkedHashMap<java.lang.String,...>`"))
    read: dict[str, str] = {}
    wrong: list[dict[str, Any]] = []
    for name, value in sent.items():
        if isinstance(value, dict | list):
            token = "START_OBJECT" if isinstance(value, dict) else "START_ARRAY"
            kind = "Object" if isinstance(value, dict) else "Array"
            raise Refused(
                bad_json(
                    f"Cannot deserialize value of type `java.lang.String` from {kind} value (token `JsonToken.{token}`)"
                )
            )
        text = _text(value)
        found = known.get(name)
        problem = _problem(name, text, found)
        if problem is None:
            read[name] = text.strip().lower() if name in ("email", "hs_additional_emails") else text
        else:
            wrong.append(problem)
    if wrong:
        raise Refused(invalid_values(wrong))
    return read


def is_address(text: str) -> bool:
    """Whether HubSpot takes this for an e-mail address."""
    return _EMAIL.fullmatch(text.strip().lower()) is not None


def bad_address(text: str) -> Refused:
    """Refuse what is not an address."""
    return Refused(invalid_values([invalid_value("email", "INVALID_EMAIL", f"Email address {text} is invalid")]))


def _text(value: object) -> str:
    if value is None:
        return ""  # unverified: null empties a property as "" does
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem(name: str, text: str, found: Property | None) -> dict[str, Any] | None:
    if found is None:
        return invalid_value(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
    if found.read_only:
        return invalid_value(name, "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
    if text == "":
        return None
    if name == "email" and not is_address(text):
        return invalid_value(name, "INVALID_EMAIL", f"Email address {text} is invalid")
    if len(text) > LONGEST_VALUE:
        return invalid_value(name, "VALUE_TOO_LONG", f"The value of {name} is longer than {LONGEST_VALUE} characters")
    return _misfit(name, text, found) or _broken_rule(name, text, found)


def _misfit(name: str, text: str, found: Property) -> dict[str, Any] | None:
    if found.type == "enumeration":
        chosen = text.split(";") if found.field_type == "checkbox" else [text]
        if not set(chosen) <= set(found.options):
            allowed = ", ".join(found.options)
            return invalid_value(name, "INVALID_OPTION", f"{text} was not one of the allowed options: [{allowed}]")
    if found.type == "bool" and text not in ("true", "false"):
        return invalid_value(name, "INVALID_OPTION", f"{text} was not one of the allowed options: [true, false]")
    if found.type == "number" and not _reads(float, text):
        return invalid_value(name, "INVALID_INTEGER", f"{text} was not a valid number.")
    if found.type == "date" and not (text.isdecimal() or _reads(date.fromisoformat, text)):
        return invalid_value(name, "INVALID_DATE", f"{text} was not a valid date.")
    if found.type == "datetime" and not (text.isdecimal() or _reads(_moment, text)):
        return invalid_value(name, "INVALID_DATE", f"{text} was not a valid long.")
    return None


def _broken_rule(name: str, text: str, found: Property) -> dict[str, Any] | None:
    kind, argument = found.rule or ("", "")
    kept = {
        "MAX_LENGTH": lambda: len(text) <= int(argument),
        "MIN_LENGTH": lambda: len(text) >= int(argument),
        "REGEX": lambda: re.fullmatch(argument, text) is not None,
    }
    if kind in kept and not kept[kind]():
        return invalid_value(name, f"FAILED_{kind}", f"The value of {name} breaks a validation rule: {kind} {argument}")
    return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _reads(read: Any, text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def shown_property(found: Property) -> dict[str, Any]:
    """Show a property as the properties API does."""
    return {
        "updatedAt": "2026-01-01T00:00:00Z",
        "createdAt": "2026-01-01T00:00:00Z",
        "name": found.name,
        "label": found.label or found.name,
        "type": found.type,
        "fieldType": found.field_type,
        "description": "",
        "groupName": found.group,
        "options": [
            {"label": option, "value": option, "displayOrder": order, "hidden": False}
            for order, option in enumerate(found.options)
        ],
        "displayOrder": -1,
        "calculated": found.field_type == "calculation_equation",
        "externalOptions": False,
        "archived": False,
        "hasUniqueValue": found.unique,
        "hidden": False,
        "hubspotDefined": found.own,
        "modificationMetadata": {
            "archivable": not found.own,
            "readOnlyDefinition": found.own,
            "readOnlyOptions": found.own,
            "readOnlyValue": found.read_only,
        },
        "formField": not found.read_only,
    }


def one_property(known: Mapping[str, Property], name: str) -> Answer:
    """Answer GET /crm/v3/properties/contacts/{name}."""
    if name not in known:
        raise Refused(NOT_FOUND)
    return json_answer(200, shown_property(known[name]))


def create_property(known: dict[str, Property], body: Mapping[str, Any]) -> Answer:
    """Answer POST /crm/v3/properties/contacts: 201 with the property. `Refused` with 400 or 409."""
    missing = [key for key in ("name", "label", "type", "fieldType", "groupName") if not body.get(key)]
    if missing:
        raise Refused(Problem(400, "VALIDATION_ERROR", f"Invalid input JSON: missing {', '.join(missing)}"))
    name, kind, field_type = str(body["name"]), str(body["type"]), str(body["fieldType"])
    if name in known:
        message = f"A property named '{name}' already exists."  # unverified
        return error(Problem(409, "OBJECT_ALREADY_EXISTS", message))
    if field_type not in FIELD_TYPES.get(kind, ()):
        raise Refused(Problem(400, "VALIDATION_ERROR", f"{kind} and {field_type} do not go together"))  # invented
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise Refused(Problem(400, "VALIDATION_ERROR", f"{name} is not a valid property name"))  # invented
    options = tuple(str(each.get("value")) for each in body.get("options") or () if isinstance(each, dict))
    unique = bool(body.get("hasUniqueValue"))
    made = Property(name, kind, field_type, str(body["label"]), str(body["groupName"]), options, unique=unique)
    known[name] = made
    return json_answer(201, shown_property(made))


def validation_rules(known: Mapping[str, Property]) -> Answer:
    """Answer GET /crm/v3/property-validations/0-1."""
    results = [
        {
            "propertyName": each.name,
            "propertyValidationRules": [{"ruleType": each.rule[0], "ruleArguments": [each.rule[1]]}],
        }
        for each in known.values()
        if each.rule
    ]
    return json_answer(200, {"results": results})
