"""`@input_schema` and `@output_schema` of inference-schema 1.8, and what they tell of a function."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

from lading_runtime.azureml.parameter_types import AbstractParameterType

_TOLD = "__inference_schema__"
_INPUT, _OUTPUT = "input", "output"
_VERSIONS = ["2.0", "3.0", "3.1"]


def input_schema(
    param_name: str,
    param_type: AbstractParameterType,
    convert_to_provided_type: bool = True,  # noqa: FBT001, FBT002 - inference-schema's own signature
    optional: bool = False,  # noqa: FBT001, FBT002
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have a parameter made into what its sample is of, each time that the function is called."""
    described = _described(param_type)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        names = list(inspect.signature(function).parameters)

        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            if convert_to_provided_type and param_name in named:
                if named[param_name] or not optional:
                    named[param_name] = read(named[param_name], param_type)
            elif convert_to_provided_type and not optional:
                if param_name not in names:
                    message = f'Error, provided param_name "{param_name}" is not in the decorated function.'
                    raise ValueError(message)
                at = names.index(param_name)
                given = (*given[:at], read(given[at], param_type), *given[at + 1 :])
            return function(*given, **named)

        told = _told(call)
        body = told.setdefault(
            _INPUT,
            {
                "type": "object",
                "properties": {one: {} for one in names},
                "example": dict.fromkeys(names, ""),
            },
        )
        kept = copy.deepcopy(described)
        body["example"][param_name] = kept.pop("example")
        body["properties"][param_name] = kept
        told["versions"][_INPUT] = param_type.supported_versions()
        return call

    return decorate


def output_schema(output_type: AbstractParameterType) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have it known what a function returns."""
    described = _described(output_type)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            return function(*given, **named)

        told = _told(call)
        if _OUTPUT in told:
            message = f"Error, output schema already defined for function: {call.__name__}."
            raise ValueError(message)
        told[_OUTPUT] = described
        told["versions"][_OUTPUT] = output_type.supported_versions()
        return call

    return decorate


def read(value: Any, kind: AbstractParameterType) -> Any:
    """Make a JSON value what a sample is of; what is within an object or a list, too."""
    sample = kind.sample_data_type
    if sample is dict:
        _require(isinstance(value, dict), sample, value)
        for name, one in kind.sample_data_type_map.items():
            if name in value:
                value[name] = read(value[name], one)
        return value
    if sample in {list, tuple}:
        _require(isinstance(value, (list, tuple)), sample, value)
        items = kind.sample_data_type_list
        return [read(one, items[0]) for one in value] if items else value
    return value if isinstance(value, sample) else kind.deserialize_input(value)


def is_schema_decorated(function: Any) -> bool:
    """Tell whether a function is decorated."""
    return hasattr(function, _TOLD)


def get_input_schema(function: Any) -> Any:
    """Return what Swagger says of a function's parameters."""
    return getattr(function, _TOLD, {}).get(_INPUT, {"type": "object"})


def get_output_schema(function: Any) -> Any:
    """Return what Swagger says of what a function returns."""
    return getattr(function, _TOLD, {}).get(_OUTPUT, {"type": "object"})


def get_supported_versions(function: Any) -> list[str]:
    """Return the versions of Swagger that can describe a function."""
    told = getattr(function, _TOLD, {}).get("versions", {})
    return [one for one in _VERSIONS if all(one in versions for versions in told.values())]


def _described(kind: Any) -> Any:
    if not isinstance(kind, AbstractParameterType):
        message = "Error, provided param_type must be a subclass of the AbstractParameterType."
        raise TypeError(message)
    return kind.input_to_swagger()


def _told(function: Any) -> dict[str, Any]:
    """Return what is known of a function; those that it wraps know the same."""
    if not hasattr(function, _TOLD):
        setattr(function, _TOLD, {"versions": {}})
    told: dict[str, Any] = getattr(function, _TOLD)
    return told


def _require(holds: bool, expected: type, value: Any) -> None:  # noqa: FBT001
    if not holds:
        message = f"Invalid input data type to parse. Expected: {expected} but got {type(value)}"
        raise ValueError(message)
