"""A ModelInferRequest in, a request to the model out; its answer in, a ModelInferResponse out."""

from __future__ import annotations

from lading_runtime.front import inference, names, rpc_messages
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input
from lading_runtime.front.inference import Question
from lading_runtime.front.model import Model
from lading_runtime.front.rpc_messages import InferRequest


def ask(model: Model, data: bytes) -> tuple[InferRequest, Input]:
    """Read a request; of its tensors nothing is needed any more."""
    request = rpc_messages.read_infer(data)
    names.check(model, request.name, request.version or None)
    question = Question(request.tensors, request.names or None, request.parameters, request.identity or None)
    return request._replace(tensors=()), inference.wanted(model, question)


def tell(model: Model, request: InferRequest, answer: Answer) -> bytes:
    """Write an answer: raw, if the request was."""
    tensors = [inference.decoded(model, one) for one in inference.told(model, answer, request.names or None)]
    bill = model.bill
    return rpc_messages.write_infer(bill.name, bill.version, request.identity, tensors, raw=request.is_raw)
