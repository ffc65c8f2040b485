"""What a routine is given besides its body, and bodies of every media type."""

import base64
import dataclasses
import io
import json
import pathlib
import tempfile
from typing import TypedDict

import pytest
from PIL import Image
from typing_extensions import NotRequired

from lading_runtime import wire
from lading_runtime.loaders import answering
from lading_runtime.typed.call import Call
from lading_runtime.worker import inputs, results

TEXT = {"content-type": "text/plain"}
RAW = "def run(raw_data):\n    return [type(raw_data).__name__, raw_data]"
READS = "import json\ndef run(raw_data):\n    return json.loads(raw_data)['a']"
COUNTS = "def run(data: bytes):\n    return [type(data).__name__, len(data)]"
KINDS = [
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "text/csv",
    "application/json",
    "application/jsonlines",
    "application/x-npy",
    "application/vnd.apache.parquet",
    "image/png",
    "",
]


def post(served, path, body, kind, **more):
    headers = {"content-type": kind, **more} if kind else more
    status, answer, _ = served.ask("POST", path, body, headers)
    return status, json.loads(answer)


def test_raw_data_is_the_text_of_whatever_body(serve):
    with serve(entry="score.py", files={"score.py": RAW}) as served:
        for kind in KINDS:
            for body in (b"", b"a=1&b=\xc3\xa4", b"1,2\n3,4\n", b'{"a": 1 }', b"{"):
                assert post(served, "/score", body, kind) == (200, ["str", body.decode()]), (kind, body)
        assert post(served, "/invocations", b"1,2", "text/csv") == (200, {"predictions": ["str", "1,2"]})
        status, answer = post(served, "/score", b"\xff", "application/octet-stream")
        assert status == 400
        assert "Input cannot be decoded as UTF-8: 'utf-8' codec can't decode byte 0xff" in answer["message"]


def test_data_of_type_bytes_are_the_bytes_of_whatever_body(serve):
    with serve(entry="score.py", files={"score.py": COUNTS}) as served:
        for kind in KINDS:
            for body in (b"", b"\xff\x00", b"{}"):
                assert post(served, "/score", body, kind) == (200, ["bytes", len(body)]), (kind, body)
        assert post(served, "/invocations", b"\xff", "image/png") == (200, {"predictions": ["bytes", 1]})


def test_a_body_that_is_not_the_json_a_routine_reads_is_the_clients_fault(serve):
    with serve(entry="score.py", files={"score.py": READS}) as served:
        assert post(served, "/score", b'{"a": 2}', "") == (200, 2)
        for body in (b"{", b"", b"a=1"):
            status, answer = post(served, "/score", body, "application/json")
            assert (status, "the body is no JSON" in answer["message"]) == (400, True)
        assert post(served, "/score", b"{}", "application/json")[0] == 500


def test_parameters_of_the_query_fill_what_a_json_body_leaves_out(serve):
    code = """
        import numpy as np
        from pydantic import BaseModel
        class Item(BaseModel):
            name: str
        def predict(a: int, b: str = "b", c: list[int] = [1], d: float | None = None):
            return [a, b, c, d]
        def item(item: Item, times: int):
            return item.name * times
        def scale(x: np.ndarray, by: float = 1.0) -> np.ndarray:
            return x * by
    """
    kind = "application/json"
    with serve(entry="score.py:predict", files={"score.py": code}) as served:
        ask = "/score?b=5&c=2&c=3&d=1.5&utm_source=x"
        assert post(served, ask, b'{"a": 1}', kind) == (200, [1, "5", [2, 3], 1.5])
        assert post(served, ask, b'{"a": 1, "b": "x", "d": null}', kind) == (200, [1, "x", [2, 3], None])
        assert post(served, "/score?b=5", b'{"instances": [{"a": 1}, {"a": 2, "b": "x"}]}', kind) == (
            200,
            [[1, "5", [1], None], [2, "x", [1], None]],
        )
        assert post(served, "/score?a=1", b"", "") == (200, [1, "b", [1], None])
        status, answer = post(served, "/score?a=x", b"{}", kind)
        assert (status, "a: got 'x', expected a whole number" in answer["message"]) == (400, True)
        assert (
            served.get("/score?a=1&b=7")[1] == b'[1,"7",[1],null]'
            or served.get("/score?a=1&b=7")[1] == b'[1, "7", [1], null]'
        )
    with serve(entry="score.py:item", files={"score.py": code}) as served:
        assert post(served, "/score?times=2", b'{"name": "a"}', kind) == (200, "aa")
        assert post(served, "/score?times=2", b'{"item": {"name": "a"}, "times": 3}', kind) == (200, "aaa")
    with serve(entry="score.py:scale", files={"score.py": code}) as served:
        assert post(served, "/score?by=2&trace=1", b'{"instances": [1, 2]}', kind) == (200, [2.0, 4.0])
        assert post(served, "/score?by=2", b'{"x": [1, 2], "by": 3}', kind) == (200, [3.0, 6.0])


class Options(TypedDict, total=False):
    size: int
    name: str


class Mixed(TypedDict):
    size: int
    name: NotRequired[str]


class Textual(TypedDict):
    size: "int"
    name: "NotRequired[str]"


def load(function):
    return answering.Typed(answering.Runner(function), Call(function))


def of_json(document):
    body = json.dumps(document).encode()
    entry = wire.tensor("body", "JSON", [1], body, {})
    return inputs.Request({"parameters": {"content": "json"}, "inputs": [entry]}, memoryview(bytearray(body)))


@pytest.mark.parametrize("hint", [Options, Mixed, Textual])
def test_a_key_that_may_be_missing_stays_missing_and_has_no_default(hint):
    def routine(options, other: int = 3):
        return dict(options)

    routine.__annotations__["options"] = hint
    loaded = load(routine)
    described = loaded.facts["schema"]["input"]["$defs"][hint.__name__]
    assert described["properties"]["name"] == {"type": "string"}
    assert described.get("required", []) == ([] if hint is Options else ["size"])
    assert loaded.predict(of_json({"options": {"size": 1}})) == {"size": 1}


@dataclasses.dataclass
class Result:
    file: pathlib.Path
    name: str


def test_a_file_within_an_answer_is_encoded_before_it_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def nested(file: pathlib.Path):
        Image.open(file).load()
        return {"file": file, "more": [Image.open(file), Result(file, "a")]}

    def each(file: pathlib.Path):
        yield {"file": file}

    async def later(file: pathlib.Path):
        return [file]

    async def several(files: list[pathlib.Path]):
        for one in files:
            yield {"file": one}

    stream = io.BytesIO()
    Image.new("RGB", (1, 1)).save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode()

    def ask(function, document):
        routine = load(function)
        try:
            return json.loads(results.to_json(routine.predict(of_json(document))))
        finally:
            if routine.runner.loop is not None:
                routine.runner.loop.close()

    assert ask(nested, {"file": data}) == {"file": data, "more": [data, {"file": data, "name": "a"}]}
    assert ask(each, {"file": data}) == [{"file": data}]
    assert ask(later, {"file": data}) == [data]
    assert ask(several, {"files": [data, data]}) == [{"file": data}] * 2

    def sizes(files: list[pathlib.Path]) -> list[dict]:
        return [{"file": one} for one in files]

    many = load(sizes).predict_many([of_json([data]), of_json([data, data])])
    assert json.loads(results.to_json(many)) == [[{"file": data}], [{"file": data}] * 2]
    assert not list(tmp_path.iterdir())
