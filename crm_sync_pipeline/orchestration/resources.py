"""The database and the destinations as Dagster's resources, with their settings in its UI."""

from collections.abc import Collection, Mapping
from copy import copy
from typing import Any

import dagster as dg
from pydantic import BaseModel, create_model


def resource_of(
    value: BaseModel, secrets: Mapping[str, str], fixed: Collection[str] = ()
) -> dg.ConfigurableResource[Any]:
    """A resource that gives ops this value, with a field for each of its fields but the `fixed` ones.

    Of `secrets`, Dagster reads the variable when a run starts, so that its UI never shows a key. What a launch does not
    name stays as it is in `value`: Dagster makes a resource anew of the config of the launch, and takes the defaults of
    its class for everything else.
    """
    kind = type(value)
    defaults = {name: getattr(value, name) for name in kind.model_fields if name not in fixed}
    defaults |= {name: dg.EnvVar(variable) for name, variable in secrets.items() if defaults[name]}

    def create_resource(self: Any, context: dg.InitResourceContext) -> BaseModel:  # noqa: ARG001 # as Dagster calls it
        return kind(**{**dict(value), **{name: getattr(self, name) for name in defaults}})

    fields: dict[str, Any] = {}
    for name, default in defaults.items():
        field = copy(kind.model_fields[name])
        field.default = default
        fields[name] = (field.annotation, field)
    made = create_model(f"{kind.__name__}Resource", __base__=dg.ConfigurableResource, __doc__=kind.__doc__, **fields)
    made.create_resource = create_resource  # type: ignore[method-assign, assignment]
    return made(**{name: defaults[name] for name in secrets})
