"""A Signature ⇄ what MLflow writes of it: lists in its grammar, or, as MLmodel has them, their JSON texts."""

from __future__ import annotations

import json
from typing import Any

from lading.core import grammar
from lading.core.signature import Signature
from lading.signature.losses import Converted, Losses


def write(signature: Signature) -> Converted[dict[str, Any]]:
    """Return `{"inputs": […], …}`, each part that there is, as `signature` in lading.yaml is written."""
    losses = Losses()
    for part, fields in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        kinds = {one.type for one in fields}
        if "tensor" in kinds and kinds != {"tensor"}:
            losses.tell(part, "tensors stand beside values of any type, which MLflow itself does not read")
        for one in fields:
            if one.type == "tensor" and not one.required:
                losses.tell(f"{part}.{one.name}", "to MLflow itself every tensor is required")
    parts = {key: list(map(_by_name, rows)) for key, rows in signature.to_json().items() if rows}
    return Converted(parts, losses.told())


def _by_name(row: dict[str, Any]) -> dict[str, Any]:
    """Put the name first, as people look for it."""
    return {key: row[key] for key in ("name", "type") if key in row} | row


def texts(signature: Signature) -> dict[str, str | None]:
    """Return what stands under `signature` in MLmodel: a JSON text for each part, null where it is none."""
    return {key: json.dumps(rows) if rows else None for key, rows in signature.to_json().items()}


def read(document: object, where: str = "signature") -> Converted[Signature]:
    """Read either; raise ModelError with every issue."""
    return Converted(grammar.read(document, where))
