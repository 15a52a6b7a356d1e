"""Holds answers against the OpenAPI document that Brevo publishes."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT = Path(__file__).parents[2] / "../shared/reference/brevo-contacts-openapi.yaml"
METHODS = ("get", "post", "put", "delete")

# Statuses the document leaves out because they do not belong to one operation.
EVERYWHERE = {
    401: "the key is checked before any operation",
    429: "so is the rate limit; the document declares it for two operations only",
}

# What stands in the document's place where it is known to be wrong; `_document` says why.
CSV_URL = {"type": ["string", "null"]}
FAILURE_FILES = (
    "invalid_emails",
    "duplicate_contact_id",
    "duplicate_ext_id",
    "duplicate_email_id",
    "duplicate_phone_id",
    "duplicate_whatsapp_id",
    "duplicate_landline_number_id",
)
STATUSES = ["queued", "in_process", "processing", "completed", "failed", "cancelled"]


class BrokenContractError(AssertionError):
    """The simulator said something that the document does not allow."""


def check(response: httpx.Response) -> None:
    """Fail unless the document declares this answer for this operation. Usable as an httpx response hook."""
    if not response.request.url.path.startswith("/v3/"):
        return
    response.read()
    path = response.request.url.path.removeprefix("/v3")
    method = response.request.method.lower()
    template = _template(path)
    where = f"{method} {template} -> {response.status_code}"
    if response.status_code in EVERYWHERE:
        return
    declared = _document()["paths"][template][method]["responses"].get(str(response.status_code))
    if declared is None:
        raise BrokenContractError(f"{where} is not declared; body: {response.text[:200]}")
    pointer = f"/paths/{_escaped(template)}/{method}/responses/{response.status_code}"
    if "$ref" in declared:
        pointer = declared["$ref"].removeprefix("#")
        declared = _document()["components"]["responses"][pointer.rpartition("/")[2]]
    if "application/json" not in (declared.get("content") or {}):
        if response.content:
            raise BrokenContractError(f"{where} has no body, not {response.text[:200]}")
        return
    if response.headers["content-type"] != "application/json":
        raise BrokenContractError(f"{where} is JSON, not {response.headers['content-type']}")
    schema = {"$ref": f"urn:brevo#{pointer}/content/application~1json/schema"}
    for problem in Draft202012Validator(schema, registry=_registry()).iter_errors(response.json()):
        raise BrokenContractError(f"{where}: {problem.message} at {problem.json_path}")


@cache
def _document() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = _without_nullable(yaml.load(DOCUMENT.read_text(), loader))  # noqa: S506  # both are safe
    for path, item in (("/processes", True), ("/processes/{processId}", False)):
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        process = schema["properties"]["processes"]["items"] if item else schema
        # "Number of ..., integer" is wrong: the newer official SDK, Brevo's own API catalogue and a client that
        # downloads them all have URLs of CSV files.
        process["properties"]["info"]["properties"]["import"]["properties"] = dict.fromkeys(FAILURE_FILES, CSV_URL)
        # The document lost "in_process", which is what accounts show while an import runs.
        process["properties"]["status"]["enum"] = STATUSES
    # "oneOf a list of addresses, a list of ids" forbids the empty list, which is both, and which Brevo sends.
    outcomes = document["components"]["schemas"]["postContactInfo"]["properties"]["contacts"]["properties"]
    for name in ("success", "failure"):
        outcomes[name] = {"anyOf": outcomes[name]["oneOf"]}
    return document


@cache
def _registry() -> Registry[Any]:
    registry: Registry[Any] = Registry().with_resource("urn:brevo", DRAFT202012.create_resource(_document()))
    return registry


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    # Literal paths before those with variables: /contacts/lists is no contact called "lists".
    paths = sorted(_document()["paths"], key=lambda path: (path.count("{"), path))
    return {path: re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in paths}


def _template(path: str) -> str:
    for template, pattern in _patterns().items():
        if pattern.fullmatch(path):
            return template
    raise BrokenContractError(f"{path} is no path of the document")


def _escaped(path: str) -> str:
    return path.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _without_nullable(node: Any) -> Any:
    """Turn OpenAPI 3.0's `nullable: true` into JSON Schema's type "null"."""
    if isinstance(node, list):
        return [_without_nullable(item) for item in node]
    if not isinstance(node, dict):
        return node
    converted = {key: _without_nullable(value) for key, value in node.items() if key != "nullable"}
    if node.get("nullable") is True and isinstance(node.get("type"), str):
        converted["type"] = [node["type"], "null"]
    return converted
