"""The Open Inference Protocol over gRPC: its messages against Triton's own, the server by real clients."""

import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from lading_runtime.front import protobuf, rpc_messages
from lading_runtime.front.messages import Refusal

ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 5.0, 2.0]])
CONTENTS = {
    "BOOL": ("bool_contents", st.booleans()),
    **{f"INT{n}": ("int_contents", st.integers(-(1 << n - 1), (1 << n - 1) - 1)) for n in (8, 16, 32)},
    "INT64": ("int64_contents", st.integers(-(1 << 63), (1 << 63) - 1)),
    **{f"UINT{n}": ("uint_contents", st.integers(0, (1 << n) - 1)) for n in (8, 16, 32)},
    "UINT64": ("uint64_contents", st.integers(0, (1 << 64) - 1)),
    "FP32": ("fp32_contents", st.floats(width=32)),
    "FP64": ("fp64_contents", st.floats()),
    "BYTES": ("bytes_contents", st.binary(max_size=9)),
}
SCALARS = st.one_of(
    st.booleans().map(lambda value: {"bool_param": value}),
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda value: {"int64_param": value}),
    st.text(max_size=5).map(lambda value: {"string_param": value}),
    st.floats(allow_nan=False).map(lambda value: {"double_param": value}),
    st.integers(0, (1 << 64) - 1).map(lambda value: {"uint64_param": value}),
)


@st.composite
def tensors(draw):
    datatype = draw(st.sampled_from(sorted(CONTENTS)))
    values = draw(st.lists(CONTENTS[datatype][1], max_size=6))
    return draw(st.text(max_size=5)), datatype, values


def same(one, other):
    return len(one) == len(other) and all(
        a == b or (a != a and b != b)  # noqa: PLR0124 - NaN
        for a, b in zip(one, other, strict=True)
    )


@given(
    st.lists(tensors(), min_size=1, max_size=3),
    st.dictionaries(st.text(max_size=4), SCALARS, max_size=3),
    st.lists(st.text(max_size=4), max_size=2),
    st.tuples(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4)),
)
def test_a_request_is_read_as_tritons_messages_write_it(given_tensors, parameters, names, texts):
    request = pb.ModelInferRequest(model_name=texts[0], model_version=texts[1], id=texts[2])
    for name, datatype, values in given_tensors:
        contents = pb.InferTensorContents(**{CONTENTS[datatype][0]: values})
        request.inputs.add(name=name, datatype=datatype, shape=[len(values)], contents=contents)
    for name, value in parameters.items():
        request.parameters[name].CopyFrom(pb.InferParameter(**value))
    for name in names:
        request.outputs.add(name=name)
    read = rpc_messages.read_infer(request.SerializeToString())
    assert (read.name, read.version, read.identity) == texts
    assert (list(read.names), read.is_raw) == (names, False)
    assert read.parameters == {name: next(iter(value.values())) for name, value in parameters.items()}
    for one, (name, datatype, values) in zip(read.tensors, given_tensors, strict=True):
        assert (one.name, one.datatype, list(one.shape)) == (name, datatype, [len(values)])
        assert same(list(one.values if datatype == "BYTES" else one._replace(values=None).numbers()), values)


@given(st.lists(tensors(), min_size=1, max_size=3), st.booleans())
def test_an_answer_is_written_as_tritons_messages_read_it(given_tensors, raw):
    request = pb.ModelInferRequest()
    for name, datatype, values in given_tensors:
        contents = pb.InferTensorContents(**{CONTENTS[datatype][0]: values})
        request.inputs.add(name=name, datatype=datatype, shape=[1, len(values)], contents=contents)
    read = rpc_messages.read_infer(request.SerializeToString()).tensors
    answer = pb.ModelInferResponse.FromString(rpc_messages.write_infer("m", "1", "7", read, raw=raw))
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "1", "7")
    for index, (name, datatype, values) in enumerate(given_tensors):
        output = answer.outputs[index]
        assert (output.name, output.datatype, list(output.shape)) == (name, datatype, [1, len(values)])
        if not raw:
            assert same(list(getattr(output.contents, CONTENTS[datatype][0])), values)
        elif datatype != "BYTES":
            assert answer.raw_output_contents[index] == bytes(read[index].data)
    assert len(answer.raw_output_contents) == (len(given_tensors) if raw else 0)


def test_raw_contents_are_viewed_and_not_copied():
    request = pb.ModelInferRequest(model_name="m", raw_input_contents=[ROWS.tobytes()])
    request.inputs.add(name="x", datatype="FP64", shape=[2, 4])
    data = request.SerializeToString()
    read = rpc_messages.read_infer(data)
    assert read.is_raw
    assert read.tensors[0].data.obj is data
    assert bytes(read.tensors[0].data) == ROWS.tobytes()


def test_values_that_are_not_packed_are_read_too():
    contents = b"".join(protobuf.varint(2 << 3) + protobuf.varint(value) for value in (1, -2, 300))
    entry = b"".join(
        (
            protobuf.string(1, "x"),
            protobuf.string(2, "INT16"),
            protobuf.varint(3 << 3) + protobuf.varint(3),
            protobuf.message(5, contents),
        )
    )
    (tensor,) = rpc_messages.read_infer(protobuf.message(5, entry)).tensors
    assert (tensor.shape, tensor.values) == ([3], [1, -2, 300])


@given(
    st.binary(max_size=60)
    | st.builds(lambda a, b: protobuf.message(5, a) + b, st.binary(max_size=40), st.binary(max_size=20))
)
def test_whatever_comes_is_read_or_refused(data):
    try:
        read = rpc_messages.read_infer(data)
    except (protobuf.MalformedError, Refusal):
        return
    # what is read by us is no nonsense to the original either
    assert pb.ModelInferRequest.FromString(data).model_name == read.name


@given(st.integers(-(1 << 63), (1 << 64) - 1))
def test_whole_numbers_come_back(value):
    assert protobuf.varints(memoryview(protobuf.varint(value))) == [value % (1 << 64)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shape": [3]}, "got 2 values, expected 3 for shape"),
        ({"shape": [-2]}, "expected a list of at most 32 lengths"),
        ({"shape": [1 << 62, 1 << 62]}, "expected more than there can be"),
        ({"datatype": "FP16"}, "FP16 and BF16 as raw contents only"),
        ({"datatype": "FP64"}, "got fp32_contents, expected fp64_contents for FP64"),
        ({"datatype": "INT8", "contents": {"int_contents": [1, 300]}}, "value 1: got 300"),
        ({"raw": [b"12345678", b""]}, "got 2 raw_input_contents, expected one for each of 1 inputs"),
        ({"raw": [b"12345678"]}, "got contents besides raw_input_contents"),
        ({"raw": [b"1234"], "contents": {}}, "got 4 bytes, expected 8"),
        ({"parameters": {"shared_memory_region": pb.InferParameter(string_param="x")}}, "shared memory"),
    ],
)
def test_what_does_not_fit_is_refused(change, reason):
    entry = {"datatype": "FP32", "shape": [2], "contents": {"fp32_contents": [1.0, 2.0]}, **change}
    request = pb.ModelInferRequest(model_name="m", raw_input_contents=entry.pop("raw", []))
    request.inputs.add(name="x", **{**entry, "contents": pb.InferTensorContents(**entry["contents"])})
    with pytest.raises(Refusal, match=reason):
        rpc_messages.read_infer(request.SerializeToString())


SLOW = """
import time
def run(data):
    time.sleep(float(data["inputs"][0]["data"][0]))
    return [1]
"""


@pytest.fixture(scope="module")
def port(free_port):
    return free_port()


@pytest.fixture(scope="module")
def named(serve, named_model, iris_signature, port):
    environ = {"LADING_GRPC_PORT": str(port), "LADING_HOST": "127.0.0.1", "LADING_BODY_LIMIT_BYTES": "100000"}
    with serve(named_model, signature=iris_signature, version="7", environ=environ) as served:
        served.await_log("gRPC listens on")
        yield served


@pytest.fixture(scope="module")
def client(named, port):
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as found:
        yield found


@pytest.fixture(scope="module")
def channel(named, port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as found:
        yield found


def call(channel, method, data=b"", service="inference.GRPCInferenceService", **more):
    return channel.unary_unary(f"/{service}/{method}")(data, timeout=20, **more)


def status_of(function):
    with pytest.raises(grpc.RpcError) as caught:
        function()
    return caught.value.code(), caught.value.details()


def rows(datatype="FP64"):
    tensor = triton.InferInput("x", [2, 4], datatype)
    tensor.set_data_from_numpy(ROWS.astype({"FP64": "<f8", "FP32": "<f4"}[datatype]))
    return tensor


def test_tritons_client_asks_how_the_server_is(client, iris):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("iris")
    assert client.is_model_ready("iris", "7")
    assert client.get_server_metadata().name == "lading"
    metadata = client.get_model_metadata("iris")
    assert (metadata.name, list(metadata.versions), metadata.platform) == ("iris", ["7"], "lading_sklearn")
    assert [(one.name, one.datatype, list(one.shape)) for one in metadata.inputs] == [
        (name, "FP64", [-1]) for name in iris.columns
    ]
    assert [one.state for one in client.get_model_repository_index().models] == ["READY"]
    client.load_model("iris")


@pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
def test_tritons_client_gets_predictions(client, algorithm):
    for outputs in (None, [triton.InferRequestedOutput("species")]):
        result = client.infer(
            "iris", [rows()], outputs=outputs, request_id="7", compression_algorithm=algorithm
        )
        assert result.as_numpy("species").tolist() == [0, 2]
        assert (result.get_response().id, result.get_response().model_version) == ("7", "7")


def test_typed_contents_are_answered_with_typed_contents(channel):
    request = pb.ModelInferRequest(model_name="iris")
    contents = pb.InferTensorContents(fp64_contents=ROWS.ravel())
    request.inputs.add(name="x", datatype="FP64", shape=[2, 4], contents=contents)
    answer = pb.ModelInferResponse.FromString(call(channel, "ModelInfer", request.SerializeToString()))
    assert list(answer.outputs[0].contents.int64_contents) == [0, 2]
    assert not answer.raw_output_contents


def test_errors_have_the_status_of_their_kind(client, channel):
    code = grpc.StatusCode
    for function, expected in (
        (lambda: client.infer("iris", [rows("FP32")], model_version="8"), "StatusCode.NOT_FOUND"),
        (lambda: client.get_model_metadata("iris", "8"), "StatusCode.NOT_FOUND"),
        (lambda: client.load_model("tulip"), "StatusCode.NOT_FOUND"),
        (lambda: client.unload_model("iris"), "StatusCode.INVALID_ARGUMENT"),
        (lambda: client.get_model_config("iris"), "StatusCode.UNIMPLEMENTED"),
        (
            lambda: client.infer("iris", [rows()], outputs=[triton.InferRequestedOutput("x")]),
            "StatusCode.INVALID_ARGUMENT",
        ),
    ):
        with pytest.raises(triton.InferenceServerException) as caught:
            function()
        assert caught.value.status() == expected
    found, text = status_of(lambda: call(channel, "ModelInfer", b"\xff"))
    assert (found, "got no message of this method" in text) == (code.INVALID_ARGUMENT, True)
    assert status_of(lambda: call(channel, "ModelInfer", b""))[0] == code.INVALID_ARGUMENT
    assert status_of(lambda: call(channel, "ModelStreamInfer", b""))[0] == code.UNIMPLEMENTED
    assert status_of(lambda: call(channel, "ModelInfer", b"x" * 200_000))[0] == code.RESOURCE_EXHAUSTED
    assert call(channel, "ServerLive") == b"\x08\x01"


def test_kserves_message_loads_the_model_by_its_first_field(channel):
    assert (
        call(channel, "RepositoryModelLoad", protobuf.string(1, "iris"))
        == protobuf.string(1, "iris") + b"\x10\x01"
    )


def test_health_is_grpcs_own(channel):
    health = "grpc.health.v1.Health"
    for service in ("", "inference.GRPCInferenceService", "liveness", "readiness", "iris"):
        assert call(channel, "Check", protobuf.string(1, service), health) == b"\x08\x01"
    assert (
        status_of(lambda: call(channel, "Check", protobuf.string(1, "x"), health))[0]
        == grpc.StatusCode.NOT_FOUND
    )
    watching = channel.unary_stream(f"/{health}/Watch")(b"", timeout=20)
    assert next(watching) == b"\x08\x01"
    watching.cancel()
    unknown = channel.unary_stream(f"/{health}/Watch")(protobuf.string(1, "x"), timeout=20)
    assert next(unknown) == b"\x08\x03"
    unknown.cancel()


def test_calls_are_counted_and_named(named, channel):
    _, sent = channel.unary_unary("/inference.GRPCInferenceService/ServerLive").with_call(
        b"", timeout=20, metadata=[("x-request-id", "abc")]
    )
    assert dict(sent.trailing_metadata())["x-request-id"] == "abc"
    metrics = named.get("/metrics")[1].decode()
    assert 'lading_requests_total{route="/inference.GRPCInferenceService/ServerLive",status="200"}' in metrics


def test_a_deadline_ends_a_call_and_no_other(serve, free_port):
    port = free_port()
    environ = {"LADING_GRPC_PORT": str(port), "LADING_HOST": "127.0.0.1", "LADING_GRACE_S": "5"}
    with serve(entry="score.py", files={"score.py": SLOW}, environ=environ) as served:
        served.await_log("gRPC listens on")
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:

            def ask(seconds, timeout_s):
                request = pb.ModelInferRequest(model_name="iris")
                contents = pb.InferTensorContents(fp32_contents=[seconds])
                request.inputs.add(name="x", datatype="FP32", shape=[1], contents=contents)
                infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
                return infer(request.SerializeToString(), timeout=timeout_s)

            assert status_of(lambda: ask(0.6, 0.2))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
            assert pb.ModelInferResponse.FromString(ask(0.0, 20)).outputs[0].contents.int64_contents == [1]
            metrics = served.get("/metrics")[1].decode()
            assert 'route="/inference.GRPCInferenceService/ModelInfer",status="499"} 1' in metrics
            answers = []
            busy = threading.Thread(target=lambda: answers.append(ask(0.5, 20)))
            watching = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=20)
            assert next(watching) == b"\x08\x01"
            busy.start()
            time.sleep(0.2)
            assert served.stop() == 0
            busy.join()
            assert len(answers) == 1
            assert list(watching) == [b"\x08\x02"]


def test_a_call_whose_answer_does_not_come_within_the_grace_is_told_so(serve, free_port):
    port = free_port()
    environ = {"LADING_GRPC_PORT": str(port), "LADING_HOST": "127.0.0.1", "LADING_GRACE_S": "2"}
    with serve(entry="score.py", files={"score.py": SLOW}, environ=environ) as served:
        served.await_log("gRPC listens on")
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = pb.ModelInferRequest(model_name="iris")
            contents = pb.InferTensorContents(fp32_contents=[60.0])
            request.inputs.add(name="x", datatype="FP32", shape=[1], contents=contents)
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            waiting = infer.future(request.SerializeToString(), timeout=20)
            time.sleep(0.3)
            assert served.stop() == 0
            code, told = status_of(waiting.result)
            assert (code, told) == (
                grpc.StatusCode.UNAVAILABLE,
                "the server is shutting down, and its time is over",
            )
        assert "1 requests were abandoned" in served.log


def test_a_token_opens_every_call_and_health_needs_none(serve, free_port):
    port = free_port()
    environ = {"LADING_GRPC_PORT": str(port), "LADING_HOST": "127.0.0.1", "LADING_TOKEN": "a-secret"}
    files = {"score.py": "def run(data):\n    return data"}
    with serve(entry="score.py", files=files, environ=environ) as served:
        served.await_log("gRPC listens on")
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert status_of(lambda: call(channel, "ServerMetadata"))[0] == grpc.StatusCode.UNAUTHENTICATED
            token = [("authorization", "Bearer a-secret")]
            assert b"lading" in call(channel, "ServerMetadata", metadata=token)
            assert call(channel, "Check", service="grpc.health.v1.Health") == b"\x08\x01"


def test_a_port_that_is_taken_is_a_warning(serve):
    files = {"score.py": "def run(data):\n    return data"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environ = {"LADING_GRPC_PORT": str(taken.getsockname()[1]), "LADING_HOST": "127.0.0.1"}
        with serve(entry="score.py", files=files, environ=environ) as served:
            served.await_log("Address already in use")
            assert served.get("/v2/health/ready")[0] == 200
            assert served.stop() == 0
