"""Files of a model go in, `ModelFacts` come out; nothing of the model is executed, imported or unpickled."""

from lading.model.formats import Format, as_files, as_weights, inspect, is_known
from lading.model.onnx import dimensions
from lading.model.refusal import refuse
from lading.model.request import Request
from lading.model.vouched import untrusted

__all__ = [
    "Format",
    "Request",
    "as_files",
    "as_weights",
    "dimensions",
    "inspect",
    "is_known",
    "refuse",
    "untrusted",
]
