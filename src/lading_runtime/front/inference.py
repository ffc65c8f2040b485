"""The Open Inference Protocol without its transports: a client's tensors in, the outputs it asked for out."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import msgspec

from lading_runtime.front import encode as encoding
from lading_runtime.front import inputs, outputs, routine_schema
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal, invalid
from lading_runtime.front.model import Model
from lading_runtime.front.schema import check_params
from lading_runtime.front.tensors import BYTES, SIZES, Tensor

EXTENSIONS = ("binary_tensor_data", "model_repository", "model_configuration", "statistics")
# the values of others are looked at, or widened
_PLAIN = frozenset(SIZES) - {"BOOL"}


class Question(NamedTuple):
    """What a client asks."""

    tensors: Sequence[Tensor]
    names: Optional[Sequence[str]] = None  # noqa: UP045 - evaluated under Python 3.9 too
    """The outputs it wants, in this order; None: all of them."""
    parameters: Mapping[str, Any] = {}
    identity: Optional[str] = None  # noqa: UP045
    text: Optional[bytes] = None  # noqa: UP045
    """The whole question, where it came as JSON: what a routine is given."""


def wanted(model: Model, question: Question) -> Input:
    """Make a request of a question; refuse one that the model cannot be asked."""
    if model.takes_json:
        if question.text is None and _is_typed(model):
            return inputs.named(question.tensors, question.parameters)
        return encoding.body(question.text or _text(question))
    tensors, params = routine_schema.parted(model.backend.facts, question.tensors)
    asked = inputs.read(model.schema, tensors)
    if model.routine is not None and (params or question.parameters):
        return asked._replace(params={**question.parameters, **params})
    if model.schema.params:
        return asked._replace(params=check_params(model.schema, dict(question.parameters)))
    return asked


def told(model: Model, answer: Answer, names: Sequence[str] | None) -> Sequence[Tensor]:
    """Return the outputs that were asked for."""
    found = outputs.read(answer, model.schema)
    if _is_typed(model) and len(found) == 1:
        found = [outputs.declared(found[0], one["datatype"]) for one in described_outputs(model)] or found
    return outputs.chosen(found, names)


def is_light(model: Model, datatypes: Collection[object]) -> bool:
    """Tell whether tensors are handed on as they are: nobody looks at their values, however many."""
    schema = model.schema
    kinds = {*(one.kind for one in schema.columns), *(one.kind for one in schema.tensors)} - {None}
    is_plain = not kinds or (len(kinds) == 1 and kinds == set(datatypes))
    return is_plain and not model.takes_json and not any(one not in _PLAIN for one in datatypes)


def _is_typed(model: Model) -> bool:
    return model.routine is not None and model.routine.is_typed


def decoded(model: Model, tensor: Tensor) -> Tensor:
    """Return an output that is a routine's picture or file as its bytes: only JSON has it in base64."""
    if model.routine is None or model.routine.answers is None or tensor.datatype != BYTES:
        return tensor
    try:
        return tensor._replace(values=[base64.b64decode(one, validate=True) for one in tensor.values or ()])
    except ValueError:  # its author returned something else
        return tensor


def describe(model: Model) -> dict[str, Any]:
    """Return a model's metadata."""
    form = str(model.bill.model.get("format") or model.bill.model["loader"])
    return {
        "name": model.bill.name,
        "versions": [model.bill.version],
        "platform": f"lading_{form}",
        "inputs": described(model),
        "outputs": described_outputs(model),
        "properties": {"format": form, "loader": str(model.bill.model["loader"])},
    }


def described(model: Model) -> list[Mapping[str, Any]]:
    """Return a model's inputs: the signature's, or a routine's parameters."""
    return list(model.schema.describe() or routine_schema.tensors(model.backend.facts))


def described_outputs(model: Model) -> list[Mapping[str, Any]]:
    """Return a model's outputs: the signature's, or what a routine's hint says."""
    return list(model.schema.describe_outputs() or routine_schema.outputs(model.backend.facts))


def index(model: Model) -> list[dict[str, str]]:
    """List the models that there are, as Triton's repository does: one."""
    state = "READY" if model.is_ready else "UNAVAILABLE"
    reason = "" if model.is_ready else model.why_not_ready
    return [{"name": model.bill.name, "version": model.bill.version, "state": state, "reason": reason}]


def cannot_unload(model: Model) -> Refusal:
    """Say that a server of one model keeps it."""
    return invalid(f"{model.bill.name!r} is the one model of this server, which ends when the server does")


def _text(question: Question) -> bytes:
    """Write a question as its JSON, for a routine that reads no other."""
    entries = [
        {"name": one.name, "shape": list(one.shape), "datatype": one.datatype, "data": one.listed()}
        for one in question.tensors
    ]
    document: dict[str, Any] = {"inputs": entries}
    if question.identity is not None:
        document["id"] = question.identity
    if question.parameters:
        document["parameters"] = question.parameters
    if question.names:
        document["outputs"] = [{"name": name} for name in question.names]
    return msgspec.json.encode(document)
