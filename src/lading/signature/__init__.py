"""A Signature ⇄ the notations of others; data, type hints → a Signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lading.core.signature import Signature
from lading.signature import graph, json_read, json_schema, mlflow, oip
from lading.signature.losses import Converted, Loss
from lading.signature.mlflow import texts

__all__ = ["NOTATIONS", "Converted", "Loss", "Notation", "texts"]


class Notation(NamedTuple):
    """A way to write signatures down."""

    name: str
    write: Callable[[Signature], Converted[Any]]
    """Return JSON values."""
    read: Callable[[object, str], Converted[Signature]]
    """Read JSON values, of a place that issues name; raise ModelError with all of them."""


NOTATIONS: Mapping[str, Notation] = {
    one.name: one
    for one in (
        Notation("mlflow", mlflow.write, mlflow.read),
        Notation("oip", oip.write, oip.read),
        Notation("json-schema", json_schema.write, json_read.read),
        Notation("onnx", graph.write_onnx, graph.read_onnx),
        Notation("saved-model", graph.write_saved_model, graph.read_saved_model),
        Notation("torchscript", graph.write_torchscript, graph.read_torchscript),
    )
}
