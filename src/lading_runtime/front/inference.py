"""The Open Inference Protocol without its transports: a client's tensors in, the outputs it asked for out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import msgspec

from lading_runtime.front import encode as encoding
from lading_runtime.front import inputs, outputs, routine_schema
from lading_runtime.front.messages import Refusal, invalid
from lading_runtime.front.model import Model
from lading_runtime.front.schema import check_params
from lading_runtime.front.tensors import Tensor

EXTENSIONS = ("binary_tensor_data", "model_repository", "model_configuration", "statistics")


class Question(NamedTuple):
    """What a client asks."""

    tensors: Sequence[Tensor]
    names: Optional[Sequence[str]] = None  # noqa: UP045 - evaluated under Python 3.9 too
    """The outputs it wants, in this order; None: all of them."""
    parameters: Mapping[str, Any] = {}
    identity: Optional[str] = None  # noqa: UP045
    text: Optional[bytes] = None  # noqa: UP045
    """The whole question, where it came as JSON: what a routine is given."""


async def infer(model: Model, question: Question) -> Sequence[Tensor]:
    """Predict; raise a Refusal for a question that the model cannot be asked, or has no answer to."""
    if model.takes_json:
        wanted = encoding.body(question.text or _text(question))
    else:
        tensors, params = routine_schema.parted(model.backend.facts, question.tensors)
        wanted = inputs.read(model.schema, tensors)
        if model.routine is not None and (params or question.parameters):
            wanted = wanted._replace(params={**question.parameters, **params})
        elif model.schema.params:
            wanted = wanted._replace(params=check_params(model.schema, dict(question.parameters)))
    answer = await model.predict(wanted)
    return outputs.chosen(outputs.read(answer, model.schema), question.names)


def describe(model: Model) -> dict[str, Any]:
    """Return a model's metadata."""
    form = str(model.bill.model.get("format") or model.bill.model["loader"])
    return {
        "name": model.bill.name,
        "versions": [model.bill.version],
        "platform": f"lading_{form}",
        "inputs": model.schema.describe() or routine_schema.tensors(model.backend.facts),
        "outputs": model.schema.describe_outputs(),
        "properties": {"format": form, "loader": str(model.bill.model["loader"])},
    }


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
