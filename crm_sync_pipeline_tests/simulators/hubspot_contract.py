"""Holds requests and answers against the OpenAPI document that HubSpot's own client was made from."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT = Path(__file__).parents[2] / "../shared/reference/hubspot-contacts-openapi.json"
V3 = "/crm/v3/objects/contacts"

# Recordings of a 429 have errorType and policyName where the document has category.
EVERYWHERE = {429}


class BrokenContractError(AssertionError):
    """A client or the simulator said something that the document does not allow."""


def check(response: httpx.Response) -> None:
    """Fail unless the document declares this request and this answer. Usable as an httpx response hook."""
    path = re.sub(r"^/crm/objects/\d{4}-\d{2}/(contacts|0-1)", V3, response.request.url.path)
    if not path.startswith(V3) or response.status_code in EVERYWHERE:
        return
    response.read()
    template, method = _template(path), response.request.method.lower()
    where = f"{method} {template}"
    operation = _document()["paths"][template][method]
    if response.status_code < 300 and "requestBody" in operation:
        _hold(json.loads(response.request.content), operation["requestBody"], f"{where}, the request")
    where = f"{where} -> {response.status_code}"
    declared = operation["responses"].get(str(response.status_code))
    if declared is None and response.status_code >= 400:
        declared = operation["responses"]["default"]
    if declared is None:
        raise BrokenContractError(f"{where} is not declared; body: {response.text[:200]}")
    if not declared.get("content"):
        if response.content:
            raise BrokenContractError(f"{where} has no body, not {response.text[:200]}")
        return
    if response.headers["content-type"] != "application/json":
        raise BrokenContractError(f"{where} is JSON, not {response.headers['content-type']}")
    _hold(response.json(), declared, where)


def hold(data: Any, schema: str) -> None:
    """Fail unless the data is what the schema of that name says."""
    _validate(data, {"$ref": f"urn:hubspot#/components/schemas/{schema}"}, schema)


def _hold(data: Any, declared: dict[str, Any], where: str) -> None:
    (content,) = {json.dumps(each["schema"]) for each in declared["content"].values()}
    reference = json.loads(content)["$ref"]
    _validate(data, {"$ref": f"urn:hubspot{reference}"}, where)


def _validate(data: Any, schema: dict[str, Any], where: str) -> None:
    for problem in Draft202012Validator(schema, registry=_registry()).iter_errors(data):
        raise BrokenContractError(f"{where}: {problem.message} at {problem.json_path}")


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DOCUMENT.read_text())
    for name, schema in document["components"]["schemas"].items():
        values = schema.get("properties", {}).get("properties", {})
        if "additionalProperties" in values:
            # "Values are strings": one that a contact does not have is null in every recording of a read, and ""
            # or null in a write empties it.
            values["additionalProperties"] = {"type": ["string", "null"]}
        if name == "StandardError":
            # Required by the document, and in no recording of an item of a 207; its own client breaks at that.
            schema["required"] = [each for each in schema["required"] if each not in ("links", "errors")]
    return document


@cache
def _registry() -> Registry[Any]:
    registry: Registry[Any] = Registry().with_resource("urn:hubspot", DRAFT202012.create_resource(_document()))
    return registry


def _template(path: str) -> str:
    if path in _document()["paths"]:
        return path
    if re.fullmatch(rf"{V3}/[^/]+", path):
        return f"{V3}/{{contactId}}"
    raise BrokenContractError(f"{path} is not a path of the document")
