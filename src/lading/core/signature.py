"""The model's input and output schema, in MLflow's own grammar (mlflow/types/schema.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lading.core.errors import Issue, ModelError

SCALARS = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
NESTED = ("array", "object", "map", "any", "sparkml_vector")


@dataclass(frozen=True, slots=True)
class Field:
    """One column, tensor or parameter.

    `type` is one of SCALARS or NESTED, or `tensor` with a numpy `dtype` and a `shape` (-1: any length).
    `nested` keeps `items`, `values` or `properties` as they stand; `default` is a parameter's.
    """

    type: str
    name: str | None = None
    required: bool = True
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    nested: Mapping[str, Any] = field(default_factory=dict)
    default: Any = None

    def to_json(self, *, param: bool = False) -> dict[str, Any]:
        """Return MLflow's object for this field."""
        if param:
            shape = None if self.shape is None else list(self.shape)
            return {
                "name": self.name,
                "type": self.type,
                "default": self.default,
                "shape": shape,
                **self.nested,
            }
        document: dict[str, Any] = {"type": self.type, **self.nested}
        if self.type == "tensor":
            document["tensor-spec"] = {"dtype": self.dtype, "shape": list(self.shape or ())}
            # MLflow passes over it: to it every tensor is required
            document |= {} if self.required else {"required": False}
        else:
            # MLflow refuses `false` without a name, and reads null
            document["required"] = None if self.name is None and not self.required else self.required
        if self.name is not None:
            document["name"] = self.name
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, param: bool = False) -> Field:
        """Read MLflow's object; raise ModelError where it is not one."""
        kind = document.get("type", document.get("dtype") if param else None)
        if kind not in {*SCALARS, *NESTED, "tensor"}:
            expected = ", ".join((*SCALARS, *NESTED, "tensor"))
            raise ModelError(Issue("signature", f"got type {kind!r}, expected one of {expected}"))
        nested = {key: document[key] for key in ("items", "values", "properties") if key in document}
        spec = document.get("tensor-spec") or {}
        shape = document.get("shape") if param else spec.get("shape")
        # an MLflow quirk kept as it is: a nested column that says nothing of 'required' is optional
        required = bool(document.get("required", kind not in NESTED))
        return cls(
            kind,
            document.get("name"),
            required,
            spec.get("dtype"),
            None if shape is None else tuple(shape),
            nested,
            document.get("default"),
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs, outputs and parameters. Law: `Signature.from_json(s.to_json()) == s`."""

    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    params: tuple[Field, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return `{"inputs": […], "outputs": […], "params": […]}`, each list in MLflow's grammar."""
        return {
            "inputs": [one.to_json() for one in self.inputs],
            "outputs": [one.to_json() for one in self.outputs],
            "params": [one.to_json(param=True) for one in self.params],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Signature:
        """Read what `to_json` wrote; raise ModelError where it is malformed."""
        fields: dict[str, tuple[Field, ...]] = {}
        for key in ("inputs", "outputs", "params"):
            rows = document.get(key) or []
            if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
                raise ModelError(Issue("signature", f"got {key} {rows!r}, expected a list of objects"))
            fields[key] = tuple(Field.from_json(row, param=key == "params") for row in rows)
        return cls(**fields)
