"""How commands print: tables for people, JSON for programs."""

import dataclasses
import json
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import click

from crm_sync_pipeline.domain.characters import safe_to_print

as_json = click.option("--json", "json_wanted", is_flag=True, help="Print JSON instead of text.")


def say(text: str, *, is_error: bool = False) -> None:
    """A line for people. What would steer their terminal shows as its code point: the text may quote anything."""
    click.echo(safe_to_print(text), err=is_error)


def print_json(data: Any) -> None:
    """One JSON document; times in ISO 8601, durations in seconds."""
    click.echo(json.dumps(data, default=_plain, indent=2))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
