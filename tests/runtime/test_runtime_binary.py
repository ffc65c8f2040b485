"""The binary tensor extension: its codec by laws, its limits, and the server's answers."""

import gzip
import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import FunctionTransformer

from lading_runtime.front import binary, coding, inputs
from lading_runtime.front.contracts import oip
from lading_runtime.front.messages import Refusal, Request
from lading_runtime.front.schema import read as read_schema
from lading_runtime.front.tensors import SIZES, Tensor

INFER = "/v2/models/iris/infer"
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 5.0, 2.0]])
DTYPES = {
    "BOOL": "?",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
SHAPES = st.lists(st.integers(0, 4), max_size=4)


@pytest.fixture(scope="module")
def bare(serve, bare_model):
    with serve(bare_model, environ={"LADING_BODY_LIMIT_BYTES": "1000000"}) as served:
        yield served


@pytest.fixture(scope="module")
def echo(serve):
    """A model that gives its one tensor back."""
    spec = {"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}
    options = {"loader_options": {"file": "model.pkl", "method": "transform"}}
    with serve(FunctionTransformer(), signature={"inputs": [spec]}, bill_model=options) as served:
        yield served


def ask(served, document, *blobs, headers=None, path=INFER):
    """Send a JSON part and binary tensors; return status, the JSON part, and what follows it."""
    head = json.dumps(document).encode()
    more = {"inference-header-content-length": str(len(head)), **(headers or {})}
    status, body, got = served.ask("POST", path, head + b"".join(blobs), more)
    length = int(got.get("inference-header-content-length", len(body)))
    return status, json.loads(body[:length]), body[length:]


def entry(shape=(2, 4), datatype="FP64", size=64, **more):
    return {
        "name": "x",
        "shape": list(shape),
        "datatype": datatype,
        "parameters": {"binary_data_size": size},
        **more,
    }


@given(st.sampled_from(sorted(SIZES)), SHAPES, st.randoms(use_true_random=False))
def test_numbers_come_back_as_they_were(datatype, shape, random):
    count = int(np.prod(shape, dtype=int))
    data = (
        random.randbytes(count * SIZES[datatype])
        if datatype != "BOOL"
        else bytes(random.choices((0, 1), k=count))
    )
    tensor = binary.decode("x", datatype, shape, memoryview(data))
    assert bytes(binary.encode(tensor)) == data
    expected = np.frombuffer(data, DTYPES[datatype])
    assert np.array_equal(np.array(tensor.listed(), expected.dtype), expected, equal_nan="FP" in datatype)


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_texts_come_back_as_they_were(values):
    framed = binary.framed(values)
    assert framed == b"".join(struct.pack("<I", len(one)) + one for one in values)
    assert binary.texts("x", len(values), memoryview(framed)) == values


@given(st.binary(min_size=2, max_size=64).map(lambda data: data[: len(data) // 2 * 2]))
def test_halves_lose_nothing_when_they_are_widened(data):
    half = np.frombuffer(data, "<f2").astype("<f4")
    assert np.array_equal(
        np.frombuffer(binary.widened("FP16", memoryview(data)), "<f4"), half, equal_nan=True
    )
    brain = (np.frombuffer(data, "<u2").astype("<u4") << 16).tobytes()
    assert binary.widened("BF16", memoryview(data)) == brain


@given(st.lists(st.integers(-2, 70), max_size=5), st.binary(max_size=64))
def test_bytes_are_divided_only_by_sizes_that_add_up_to_them(sizes, data):
    if sum(sizes) == len(data) and min(sizes, default=0) >= 0:
        assert b"".join(binary.split(sizes, memoryview(data))) == data
    elif sum(sizes) != len(data):
        with pytest.raises(Refusal):
            binary.split(sizes, memoryview(data))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "y", ""]) | JSON_VALUES,
        "shape": SHAPES | JSON_VALUES,
        "datatype": st.sampled_from(binary.DATATYPES) | JSON_VALUES,
        "data": st.lists(st.integers(0, 1), max_size=4) | JSON_VALUES,
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_size": st.integers(-1, 40) | JSON_VALUES}
        )
        | JSON_VALUES,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=3) | JSON_VALUES,
        "inputs": st.lists(ENTRIES | JSON_VALUES, max_size=3) | JSON_VALUES,
        "outputs": st.lists(ENTRIES, max_size=2) | JSON_VALUES,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_output": st.booleans() | JSON_VALUES})
        | JSON_VALUES,
    },
)


class FakeSettings:
    body_limit_bytes = 1 << 20


class Reader:
    """As much of a model as reading a request needs."""

    takes_json = False
    settings = FakeSettings()

    def __init__(self, signature):
        self.schema = read_schema(signature, width=None if signature else 4)


SIGNATURES = [
    None,
    {"inputs": [{"type": "double", "name": "a"}, {"type": "double", "name": "b"}]},
    {"inputs": [{"type": "string", "name": "x"}, {"type": "binary", "name": "y", "required": False}]},
    {"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]},
    {"inputs": [{"type": "datetime"}]},
]


@given(
    DOCUMENTS | JSON_VALUES,
    st.binary(max_size=48),
    st.integers(-3, 3),
    st.sampled_from(SIGNATURES),
)
def test_whatever_is_sent_is_read_or_refused(document, rest, off, signature):
    head = json.dumps(document).encode()
    length = str(max(0, len(head) + off)).encode()
    request = Request({b"inference-header-content-length": length}, head + rest)
    model = Reader(signature)
    refusal = refusal_of(lambda: inputs.read(model.schema, oip.read(model, request).question.tensors))
    if refusal is not None:
        assert 400 <= refusal.status < 500
        assert len(refusal.message) < 3000


def refusal_of(function):
    try:
        function()
    except Refusal as refusal:
        return refusal
    return None


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"7", b"9" * 5000, b"1.0", "٣".encode()])
def test_a_length_that_is_none_is_refused(length):
    with pytest.raises(Refusal, match="expected a length of at most"):
        binary.header_length({b"inference-header-content-length": length}, 6)


def test_numbers_are_not_copied():
    data = np.arange(8.0).tobytes()
    tensor = binary.decode("x", "FP64", [2, 4], memoryview(data))
    assert tensor.data.obj is data
    for signature in (None, {"inputs": [{"type": "double", "name": name} for name in "abcd"]}):
        wanted = inputs.read(Reader(signature).schema, [tensor])
        assert wanted.tensors[0][1].obj is data


@pytest.mark.parametrize("datatype", ["FP32", "INT64", "INT8", "FP16"])
def test_numbers_of_another_type_are_cast_as_the_signature_says(datatype):
    columns = {"inputs": [{"type": "double", "name": name} for name in "ab"]}
    values = np.array([[1, 2], [3, 4]], {"FP16": "<f2", **DTYPES}[datatype])
    tensor = binary.decode("x", datatype, [2, 2], memoryview(values.tobytes()))
    wanted = inputs.read(read_schema(columns), [tensor])
    assert bytes(wanted.tensors[0][1]) == values.astype("<f8").tobytes()


def test_numbers_that_do_not_fit_the_signature_are_refused():
    schema = read_schema({"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]})
    tensor = binary.decode("x", "FP64", [2], memoryview(np.array([1.0, 1.5]).tobytes()))
    with pytest.raises(Refusal, match=r"value 1: got 1\.5, expected a whole number"):
        inputs.read(schema, [tensor])


def test_a_tensor_per_column_is_handed_on_as_it_is():
    fields = [("a", "double"), ("b", "string"), ("c", "binary"), ("d", "long")]
    schema = read_schema({"inputs": [{"name": name, "type": kind} for name, kind in fields]})
    numbers = np.array([1, 2], "<i8").tobytes()
    wanted = inputs.read(
        schema,
        [
            Tensor("d", "INT64", [2, 1], numbers),
            Tensor("c", "BYTES", [2], values=[b"\xff", b""]),
            Tensor("b", "BYTES", [2], values=["ä".encode(), b"x"]),
            Tensor("a", "FP64", [2], np.array([0.5, 1.5]).tobytes()),
        ],
    )
    assert [one["name"] for one, _ in wanted.tensors] == ["a", "b", "c", "d"]
    assert [bytes(data) for _, data in wanted.tensors[1:]] == ['["ä","x"]'.encode(), b'["/w==",""]', numbers]
    with pytest.raises(Refusal, match="'b', value 1: expected a text in UTF-8"):
        inputs.read(schema, [Tensor("b", "BYTES", [2], values=[b"x", b"\xff"]), *map(columns_of, "acd")])


def columns_of(name):
    return Tensor(name, "INT64", [2], np.array([1, 2], "<i8").tobytes())


def test_tensors_are_read_and_written_by_the_server(bare, bare_model):
    expected = bare_model.predict(ROWS).tobytes()
    for document in (
        {"inputs": [entry()], "parameters": {"binary_data_output": True}},
        {"inputs": [entry()], "outputs": [{"name": "output-0", "parameters": {"binary_data": True}}]},
    ):
        status, answer, rest = ask(bare, {"id": "7", **document}, ROWS.tobytes())
        assert (status, rest) == (200, expected)
        assert answer["id"] == "7"
        assert answer["outputs"] == [
            {"name": "output-0", "datatype": "INT64", "shape": [2], "parameters": {"binary_data_size": 16}}
        ]


def test_an_output_that_says_so_itself_is_json_though_the_request_wants_binary(bare):
    outputs = [{"name": "output-0", "parameters": {"binary_data": False}}]
    document = {"inputs": [entry()], "outputs": outputs, "parameters": {"binary_data_output": True}}
    status, answer, rest = ask(bare, document, ROWS.tobytes())
    assert (status, answer["outputs"][0]["data"], rest) == (200, [0, 2], b"")
    json_part = json.dumps({**document, "inputs": [{**entry(), "parameters": {}, "data": ROWS.tolist()}]})
    status, body, headers = bare.ask("POST", INFER, json_part.encode(), {})
    assert (status, json.loads(body)) == (200, answer)
    assert "inference-header-content-length" not in headers


def test_a_raw_body_is_the_one_input(bare, echo, bare_model):
    headers = {"inference-header-content-length": "0", "content-type": "application/octet-stream"}
    status, body, got = bare.ask("POST", INFER, ROWS.tobytes(), headers)
    length = int(got["inference-header-content-length"])
    assert (status, body[length:]) == (200, bare_model.predict(ROWS).tobytes())
    assert got["content-type"] == "application/octet-stream"
    status, body, _ = bare.ask("POST", INFER, b"1234", headers)
    assert (status, "expected a multiple of 32" in json.loads(body)["error"]) == (400, True)
    data = np.arange(6, dtype="<f4").tobytes()
    status, body, got = echo.ask("POST", INFER, data, headers)
    assert body[int(got["inference-header-content-length"]) :] == data


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [("FP32", "<f4"), ("FP16", "<f2"), ("FP64", "<f8"), ("INT32", "<i4"), ("UINT8", "<u1")],
)
def test_every_type_of_number_reaches_the_model(echo, datatype, dtype):
    values = np.array([[1, 2], [3, 4], [5, 6]], dtype)
    document = {
        "inputs": [entry((3, 2), datatype, values.nbytes)],
        "parameters": {"binary_data_output": True},
    }
    status, answer, rest = ask(echo, document, values.tobytes())
    assert (status, answer["outputs"][0]["datatype"]) == (200, "FP32"), answer
    assert rest == values.astype("<f4").tobytes()


def test_what_is_no_number_goes_both_ways(echo):
    values = np.array([[np.nan, np.inf], [-np.inf, -0.0]], "<f4").tobytes()
    wish = {"binary_data_output": True}
    status, _, rest = ask(echo, {"inputs": [entry((2, 2), "FP32", 16)], "parameters": wish}, values)
    assert (status, rest) == (200, values)


def test_texts_reach_a_routine_and_come_back(serve):
    code = "def run(data):\n    return [one[::-1] for one in data['inputs'][0]['data']]"
    with serve(entry="score.py", files={"score.py": code}) as served:
        blob = binary.framed([b"ab", "äö".encode()])
        document = {"inputs": [entry([2], "BYTES", len(blob))], "parameters": {"binary_data_output": True}}
        status, answer, rest = ask(served, document, blob)
    assert (status, answer["outputs"][0]["shape"]) == (200, [2])
    assert binary.texts("", 2, memoryview(rest)) == [b"ba", "öä".encode()]


@pytest.mark.parametrize(
    ("change", "blob", "reason"),
    [
        ({"size": 63}, 64, "got 64 bytes of binary tensors, expected 63"),
        ({"size": 65}, 64, "got 64 bytes of binary tensors, expected 65"),
        ({"size": 1 << 62}, 64, "got 64 bytes of binary tensors"),
        ({"size": -1}, 64, "expected a number of bytes"),
        ({"size": 1e3}, 64, "expected a number of bytes"),
        ({"size": "64"}, 64, "expected a number of bytes"),
        ({"size": True}, 1, "expected a number of bytes"),
        ({"shape": [2, 5]}, 64, "got 64 bytes, expected 80 for shape [2, 5]"),
        ({"shape": [-2, -4]}, 64, "expected a list of at most 32 lengths"),
        ({"shape": [1 << 62, 1 << 62]}, 64, "expected more than there can be"),
        ({"shape": [1 << 62, 1 << 62], "datatype": "BYTES"}, 64, "expected more than there can be"),
        ({"shape": [1] * 33}, 64, "expected a list of at most 32 lengths"),
        ({"datatype": "FP8"}, 64, "got datatype 'FP8'"),
        ({"datatype": None}, 64, "got datatype None"),
        ({"datatype": "BOOL", "shape": [64]}, 64, "neither 0 nor 1"),
        ({"data": [1]}, 64, "got both data and binary_data_size"),
        ({"parameters": {"shared_memory_region": "x"}}, 0, "shared memory is no extension"),
        ({"parameters": 7}, 0, "got parameters 7, expected an object"),
        ({"parameters": {}}, 0, "got no data"),
        ({"datatype": "BYTES", "shape": [3]}, 64, "ends at byte"),
        ({"datatype": "BYTES", "shape": [17]}, 64, "expected 17 lengths"),
    ],
)
def test_lengths_that_do_not_add_up_are_refused(bare, change, blob, reason):
    size = change.pop("size", 64)
    status, answer, _ = ask(bare, {"inputs": [{**entry(size=size), **change}]}, b"\x07" * blob)
    assert (status, reason in answer["error"]) == (400, True), answer
    assert ask(bare, {"inputs": [entry()]}, ROWS.tobytes())[0] == 200


@pytest.mark.parametrize(
    ("length", "status"), [("1", 400), ("99999", 400), ("-1", 400), ("x", 400), ("0", 400)]
)
def test_a_header_that_is_wrong_is_refused(bare, length, status):
    headers = {"inference-header-content-length": length}
    assert bare.ask("POST", INFER, b'{"inputs":[]}', headers)[0] == status


def test_sizes_without_the_header_are_refused(bare):
    status, body, _ = bare.ask("POST", INFER, json.dumps({"inputs": [entry()]}).encode(), {})
    assert (status, "without the header" in json.loads(body)["error"]) == (400, True)


@pytest.mark.parametrize("name", ["gzip", "deflate", "identity"])
def test_a_compressed_body_is_inflated_and_the_answer_compressed_as_asked(bare, name):
    document = json.dumps({"inputs": [{**entry(), "parameters": {}, "data": ROWS.tolist()}]}).encode()
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[name](document)
    headers = {"content-encoding": name, "accept-encoding": name}
    status, body, got = bare.ask("POST", INFER, packed, headers)
    assert (status, got.get("content-encoding", "identity")) == (200, name)
    undo = {"gzip": gzip.decompress, "deflate": zlib.decompress, "identity": bytes}[name]
    assert json.loads(undo(body))["outputs"][0]["data"] == [0, 2]


@pytest.mark.parametrize(
    ("name", "body", "status", "reason"),
    [
        ("gzip", gzip.compress(b" " * 50_000_000, mtime=0), 413, "inflates to more than 1000000 bytes"),
        ("deflate", zlib.compress(b" " * 50_000_000), 413, "inflates to more than 1000000 bytes"),
        ("gzip", b"no gzip", 400, "that is not gzip"),
        ("deflate", b"\xff\xff", 400, "that is not deflate"),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-4], 400, "ends too early"),
        ("gzip", b"", 400, "ends too early"),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"xx", 400, "that is not gzip"),
        ("deflate", zlib.compress(b"{}") + b"x", 400, "1 bytes behind the end"),
        ("gzip", gzip.compress(b"", mtime=0) * 40_000, 400, "behind the end of the gzip body"),
        ("br", b"x", 415, "got content-encoding 'br'"),
        (
            "gzip, gzip",
            gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0),
            415,
            "got content-encoding 'gzip, gzip'",
        ),
    ],
)
def test_a_body_that_cannot_be_inflated_is_refused(bare, name, body, status, reason):
    got, answer, _ = bare.ask("POST", INFER, body, {"content-encoding": name})
    assert (got, reason in json.loads(answer)["error"]) == (status, True), answer


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]), st.integers(0, 220))
def test_inflating_gives_back_what_was_compressed_up_to_the_limit(data, name, limit):
    bare_deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    forms = (
        [gzip.compress(data, mtime=0), gzip.compress(data[:7], mtime=0) + gzip.compress(data[7:], mtime=0)]
        if name == "gzip"
        else [zlib.compress(data), bare_deflate.compress(data) + bare_deflate.flush()]
    )
    for packed in forms:
        if len(data) <= limit:
            assert coding.inflate(packed, name, limit) == data
        else:
            with pytest.raises(Refusal, match="inflates to more than"):
                coding.inflate(packed, name, limit)


@given(st.binary(max_size=100), st.sampled_from(["gzip", "deflate"]))
def test_whatever_is_inflated_stays_below_the_limit_or_is_refused(data, name):
    found = []
    refusal = refusal_of(lambda: found.append(coding.inflate(data, name, 1000)))
    assert refusal.status in {400, 413} if refusal else len(found[0]) <= 1000


@pytest.mark.parametrize(
    ("accepted", "size", "expected"),
    [
        (b"gzip", 10, "gzip"),
        (b"deflate", 10, "deflate"),
        (b"gzip, deflate, br", 10, None),
        (b"gzip, deflate, br", 10_000, "gzip"),
        (b"gzip;q=0, deflate", 10, "deflate"),
        (b"gzip;q=0.0", 10, None),
        (b"gzip;q=0.5", 10, "gzip"),
        (b"br", 10_000, None),
        (b"*", 10_000, None),
        (b"", 10, None),
    ],
)
def test_one_coding_is_a_wish_and_a_list_is_a_library(accepted, size, expected):
    assert coding.choose(accepted, oip.Response(b" " * size)) == expected
