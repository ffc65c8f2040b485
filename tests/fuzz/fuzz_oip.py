"""Fuzz what a client sends by the Open Inference Protocol, guided by coverage: nothing but refusals.

    python tests/fuzz/fuzz_oip.py -max_total_time=600 [a folder to keep what was found]

The first byte says who reads the rest: the binary extension, gRPC's messages, or compressed bodies.
"""

import sys

import atheris

with atheris.instrument_imports(include=["lading_runtime"]):
    from lading_runtime.front import binary, coding, entries, inputs, protobuf, rpc_messages
    from lading_runtime.front.decode import parse_json
    from lading_runtime.front.messages import Refusal
    from lading_runtime.front.schema import read

LIMIT_BYTES = 1 << 20
SCHEMAS = [
    read(None, width=4),
    read({"inputs": [{"type": "double", "name": "a"}, {"type": "string", "name": "b"}]}),
    read({"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]}),
]


def read_http(data):
    """Read two bytes of header's length, a JSON part, and tensors behind it."""
    length = binary.header_length(
        {binary.HEADER: str(int.from_bytes(data[:2], "little")).encode()}, len(data) - 2
    )
    document = parse_json(data[2 : 2 + length])
    if isinstance(document, dict) and isinstance(document.get("inputs"), list):
        tensors = entries.read(document["inputs"], memoryview(data)[2 + length :])
        for schema in SCHEMAS:
            inputs.read(schema, tensors)


def read_grpc(data):
    """Read a message, and hand its tensors to models of several kinds."""
    request = rpc_messages.read_infer(data)
    for schema in SCHEMAS:
        inputs.read(schema, request.tensors)
    rpc_messages.write_infer("m", "1", "", request.tensors, raw=request.is_raw)


def inflate(data):
    """Inflate, within the limit."""
    for name in ("gzip", "deflate"):
        assert len(coding.inflate(data, name, LIMIT_BYTES)) <= LIMIT_BYTES


def one_input(data):
    """Give one input to one of the readers; only refusals are let pass."""
    reader = (read_http, read_grpc, inflate)[data[0] % 3 if data else 0]
    try:
        reader(data[1:])
    except Refusal as refusal:
        if refusal.status >= 500:
            raise
    except protobuf.MalformedError:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
