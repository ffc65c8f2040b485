"""Routines with type hints, asked with tensors that are made of their metadata, by Triton's own clients."""

import base64
import io
import json

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from PIL import Image
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

CODE = """
    import pathlib
    from typing import Literal, Optional

    import numpy as np
    from PIL import Image
    from pydantic import BaseModel

    class Flower(BaseModel):
        sepal: float
        name: str = "iris"

    def widths(picture: Image.Image, factor: int = 1) -> int:
        return picture.size[0] * factor

    def turn(picture: Image.Image) -> Image.Image:
        return picture.rotate(90, expand=True)

    def lengths(texts: list[str]) -> list[int]:
        return [len(one) for one in texts]

    def joined(texts: list[str], by: str = "-") -> str:
        return by.join(texts)

    def sepal(flower: Flower, scale: float = 1.0) -> float:
        return flower.sepal * scale

    def total(x: np.ndarray):
        return x.sum(axis=-1)

    def kinds(x: np.ndarray, y: np.ndarray, k: int = 2):
        return [str(x.dtype), str(y.dtype), list(x.shape), list(y.shape), k]

    def add(a: float, b: float = 0.5, mode: Literal["sum", "difference"] = "sum") -> float:
        return a + b if mode == "sum" else a - b

    def size(file: pathlib.Path, data: Optional[bytes] = None) -> dict[str, int]:
        return {"file": file.stat().st_size, "data": -1 if data is None else len(data)}
"""


def png(size=(3, 2)):
    stream = io.BytesIO()
    Image.new("RGB", size, (255, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


class Clients:
    """Both of Triton's clients, asked with numpy arrays by name."""

    def __init__(self, http, grpc):
        self.http = tritonclient.http.InferenceServerClient(f"127.0.0.1:{http}")
        self.grpc = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{grpc}")

    def inputs(self):
        """Return name → (datatype, shape) of the metadata, which both transports tell alike."""
        told = self.http.get_model_metadata("iris")["inputs"]
        by_grpc = self.grpc.get_model_metadata("iris").inputs
        assert [(one.name, one.datatype, list(one.shape)) for one in by_grpc] == [
            (one["name"], one["datatype"], one["shape"]) for one in told
        ]
        return {one["name"]: (one["datatype"], one["shape"]) for one in told}

    def _ask(self, kind, client, given, **how):
        tensors = []
        for name, array in given.items():
            tensor = kind.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array, **how)
            tensors.append(tensor)
        return client.infer("iris", tensors).as_numpy("output-0").tolist()

    def ask(self, *, by_json=True, **given):
        """Return what all ways of asking answer."""
        given = {
            name: value if isinstance(value, np.ndarray) else texts(value) for name, value in given.items()
        }
        told = self._ask(tritonclient.grpc, self.grpc, given)
        assert self._ask(tritonclient.http, self.http, given) == told
        if by_json:
            assert self._ask(tritonclient.http, self.http, given, binary_data=False) == told
        return told

    def refusal(self, **given):
        found = []
        for kind, client in ((tritonclient.grpc, self.grpc), (tritonclient.http, self.http)):
            with pytest.raises(InferenceServerException) as caught:
                self._ask(kind, client, given)
            found.append(caught.value.message())
        assert found[0] == found[1]
        return found[0]

    def close(self):
        self.http.close()
        self.grpc.close()


def texts(values):
    return np.array([one.encode() if isinstance(one, str) else one for one in values], dtype=object)


@pytest.fixture(scope="module")
def clients_of(serve, free_port):
    """Return a function that serves one of the functions, and ends what it served before."""
    open_ones = []

    def end():
        for close in reversed(open_ones):
            close()
        open_ones.clear()

    def begin(entry):
        end()
        http, grpc = free_port(), free_port()
        environ = {
            "LADING_UDS": "",
            "LADING_HOST": "127.0.0.1",
            "LADING_PORT": str(http),
            "LADING_GRPC_PORT": str(grpc),
        }
        context = serve(entry=f"score.py:{entry}", files={"score.py": CODE}, environ=environ, ready=False)
        served = context.__enter__()
        open_ones.append(lambda: context.__exit__(None, None, None))
        served.await_log("gRPC listens on")
        served.await_log("listening on")
        clients = Clients(http, grpc)
        open_ones.append(clients.close)
        return clients

    yield begin
    end()


def test_a_picture_is_bytes_and_comes_back_as_bytes(clients_of):
    clients = clients_of("widths")
    assert clients.inputs() == {"picture": ("BYTES", [-1]), "factor": ("INT64", [-1])}
    assert clients.http.get_model_metadata("iris")["inputs"][1]["optional"] is True
    assert clients.ask(by_json=False, picture=[png()]) == [3]
    assert clients.ask(picture=[base64.b64encode(png())]) == [3]
    assert clients.ask(by_json=False, picture=[png(), png((5, 2))], factor=np.array([2])) == [6, 10]
    assert clients.ask(by_json=False, picture=[png(), png()], factor=np.array([2, 3])) == [6, 9]
    assert "picture of a form that Pillow reads" in clients.refusal(picture=texts([b"\xff\xfe"]))
    assert "picture: missing" in clients.refusal(factor=np.array([2]))
    clients = clients_of("turn")
    told = clients.http.get_model_metadata("iris")["outputs"]
    assert told == [{"name": "output-0", "datatype": "BYTES", "shape": [-1]}]
    (turned,) = clients.ask(by_json=False, picture=[png()])
    assert Image.open(io.BytesIO(turned)).size == (2, 3)


def test_a_list_of_texts_is_bytes_whether_it_is_rows_or_one_value(clients_of):
    clients = clients_of("lengths")
    assert clients.inputs() == {"texts": ("BYTES", [-1])}
    assert clients.ask(texts=["a", "äöü", ""]) == [1, 3, 0]
    assert "expected a text in UTF-8" in clients.refusal(texts=texts([b"\xff"]))
    clients = clients_of("joined")
    assert clients.inputs() == {"texts": ("BYTES", [-1]), "by": ("BYTES", [1])}
    assert clients.ask(texts=["a", "b"], by=["+"]) == [b"a+b"]
    assert clients.ask(texts=["5"]) == [b"5"]
    assert "got 2 values, expected one" in clients.refusal(texts=texts(["a"]), by=texts(["a", "b"]))


def test_a_pydantic_model_is_its_json(clients_of):
    clients = clients_of("sepal")
    assert clients.inputs() == {"flower": ("BYTES", [-1]), "scale": ("FP64", [-1])}
    flowers = ['{"sepal": 1.5}', '{"sepal": 2, "name": "b"}']
    assert clients.ask(flower=flowers, scale=np.array([2.0])) == [3.0, 4.0]
    assert clients.ask(flower=flowers) == [1.5, 2.0]
    assert "rows[1].flower.sepal: missing" in clients.refusal(flower=texts(['{"sepal": 1}', "{}"]))


def test_an_array_is_a_tensor_of_numbers_of_any_type_and_shape(clients_of):
    clients = clients_of("total")
    assert clients.inputs() == {"x": ("FP64", [-1, -1])}
    for datatype in ("float64", "float32", "int64", "uint8", "int16"):
        assert clients.ask(x=np.arange(6).reshape(2, 3).astype(datatype)) == [3, 12]
    assert clients.ask(x=np.ones((2, 3, 4))) == [[4, 4, 4], [4, 4, 4]]


def test_several_arrays_are_given_whole(clients_of):
    clients = clients_of("kinds")
    assert clients.inputs() == {"x": ("FP64", [-1, -1]), "y": ("FP64", [-1, -1]), "k": ("INT64", [1])}
    answer = clients.ask(x=np.zeros((2, 3), "float32"), y=np.zeros(4, "int16"))
    assert [json.loads(one) if one[:1] in b"[2" else one.decode() for one in answer] == [
        *("float32", "int16"),
        *([2, 3], [4]),
        2,
    ]


def test_numbers_are_rows_and_what_has_a_default_may_be_left_out(clients_of):
    clients = clients_of("add")
    assert clients.inputs() == {"a": ("FP64", [-1]), "b": ("FP64", [-1]), "mode": ("BYTES", [-1])}
    assert clients.ask(a=np.array([1.0, 2.0])) == [1.5, 2.5]
    assert clients.ask(a=np.array([1.0, 2.0]), b=np.array([1.0, 2.0]), mode=["difference"]) == [0.0, 0.0]
    assert clients.ask(a=np.array([[1.0], [2.0]])) == [1.5, 2.5]
    assert clients.ask(by_json=False, a=np.array([np.inf])) == [np.inf]
    assert "expected one of 'sum', 'difference'" in clients.refusal(a=np.array([1.0]), mode=texts(["x"]))


def test_files_are_bytes(clients_of):
    clients = clients_of("size")
    assert clients.inputs() == {"file": ("BYTES", [-1]), "data": ("BYTES", [-1])}
    (answer,) = clients.ask(by_json=False, file=[b"\xff\x00" * 10], data=[b"abc="])
    assert json.loads(answer) == {"file": 20, "data": 4}
