"""What reaches a routine with type hints over HTTP: JSON, forms, files; and what comes back."""

import base64
import email.message
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lading_runtime.front import multipart
from lading_runtime.front.messages import Refusal

CODE = """
    import pathlib
    from typing import Literal
    import numpy as np
    from PIL import Image
    from pydantic import BaseModel, Field

    class Size(BaseModel):
        width: int = Field(gt=0)
        height: int = Field(gt=0)

    SMALL = Size(width=2, height=3)

    def resize(picture: Image.Image, size: Size = SMALL, mode: Literal["L", "RGB"] = "RGB") -> Image.Image:
        '''Resize a picture.'''
        print("resizing")
        return picture.convert(mode).resize((size.width, size.height))

    def add(row: np.ndarray):
        return row.sum(axis=1)
"""


@pytest.fixture(scope="module")
def resizer(serve):
    with serve(entry="score.py:resize", files={"score.py": CODE}) as served:
        yield served


def png():
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def form(*parts, boundary="xYz"):
    body = b""
    for name, data, more in parts:
        head = f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"{more}\r\n\r\n'
        body += head.encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), {
        "content-type": f"multipart/form-data; boundary={boundary}"
    }


FILE = '; filename="a.png"\r\ncontent-type: image/png'


def opened(body):
    picture = Image.open(io.BytesIO(body))
    return picture.format, picture.size, picture.mode


def test_a_picture_comes_and_goes_as_a_body_of_its_own(resizer):
    status, body, headers = resizer.ask("POST", "/invocations?mode=L", png(), {"content-type": "image/png"})
    assert (status, headers["content-type"]) == (200, "image/png")
    assert opened(body) == ("PNG", (2, 3), "L")


@pytest.mark.parametrize("path", ["/invocations", "/score"])
def test_a_picture_comes_by_a_form_with_its_parameters(resizer, path):
    parts = [("picture", png(), FILE), ("size", b'{"width": 4, "height": 5}', ""), ("mode", b"L", "")]
    status, body, headers = resizer.ask("POST", path, *form(*parts))
    assert (status, headers["content-type"]) == (200, "image/png")
    assert opened(body) == ("PNG", (4, 5), "L")


def test_a_picture_comes_in_json_and_goes_in_json_where_that_is_asked_for(resizer):
    document = {"picture": base64.b64encode(png()).decode(), "size": {"width": 1, "height": 1}}
    accept = {"content-type": "application/json", "accept": "application/json"}
    status, body, headers = resizer.ask("POST", "/invocations", json.dumps(document).encode(), accept)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert opened(base64.b64decode(json.loads(body)["predictions"])) == ("PNG", (1, 1), "RGB")
    status, body, _ = resizer.ask(
        "POST", "/v1/models/x:predict", json.dumps({"instances": [document] * 2}), accept
    )
    assert (status, len(json.loads(body)["predictions"])) == (200, 2)


def test_all_that_does_not_fit_is_a_400_with_its_names(resizer):
    document = {"picture": "no", "size": {"width": 0, "height": "x"}, "mod": "L"}
    status, answer = resizer.post(document)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    for problem in (
        "mod: unknown; did you mean 'mode'?",
        "picture: got 'no', expected a picture",
        "size.width: got 0, expected greater than 0",
        "size.height: got 'x', expected a valid integer",
    ):
        assert problem in answer["error"]
    status, answer, _ = resizer.ask("POST", "/invocations", b"%PDF", {"content-type": "application/pdf"})
    assert status == 415
    assert b"'image/*'" in answer
    status, answer, _ = resizer.ask("POST", "/invocations", b"no picture", {"content-type": "image/png"})
    assert status == 400
    assert b"expected a picture of a form that Pillow reads" in answer
    assert "Traceback" not in resizer.log
    assert "resizing" in resizer.log


def test_an_array_routine_takes_every_form_that_a_model_takes(serve):
    with serve(entry="score.py:add", files={"score.py": CODE}) as served:
        assert served.predictions({"instances": [[1, 2], [3, 4]]}) == [3, 7]
        assert served.predictions({"input": [[1, 2], [3, 4]]}) == [3, 7]
        assert served.predictions({"row": [[1, 2]]}) == [3]
        assert served.predictions({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}) == [3]
        status, body, _ = served.ask("POST", "/invocations", b"1,2\n3,4\n", {"content-type": "text/csv"})
        assert (status, json.loads(body)) == (200, {"predictions": [3, 7]})
        tensor = {"name": "row", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}
        status, answer = served.post({"inputs": [tensor]}, "/v2/models/x/infer")
        assert (status, answer["outputs"][0]["data"]) == (200, [3])
        status, body, _ = served.ask("POST", "/score", b"[[1, 2]]", {"content-type": "application/json"})
        assert (status, json.loads(body)) == (200, [3])


def test_a_function_of_a_row_takes_tables_and_a_bare_list(serve):
    code = """
        from pydantic import BaseModel
        class Item(BaseModel):
            a: int
            b: float = 1.0
        def scale(item: Item, k: int = 2) -> float:
            return item.a * item.b * k
    """
    with serve(entry="score.py:scale", files={"score.py": code}) as served:
        for kind, body in {
            "text/csv": b"a,b\n1,2\n3,4\n",
            "application/jsonlines": b'{"a":1,"b":2}\n{"a":3,"b":4}\n',
        }.items():
            status, answer, _ = served.ask("POST", "/invocations", body, {"content-type": kind})
            assert (status, json.loads(answer)) == (200, {"predictions": [4, 24]})
        status, answer, _ = served.ask("POST", "/score", b'[{"a": 1}]', {"content-type": "application/json"})
        assert (status, json.loads(answer)) == (200, [2])
        status, answer, _ = served.ask(
            "POST", "/predictions", b'{"input": {"a": 1, "k": 3}}', {"content-type": "application/json"}
        )
        assert (status, json.loads(answer)["output"]) == (200, 3)
        status, answer = served.post({"input": {"a": "x"}}, "/predictions")
        assert status == 422
        assert "item.a: got 'x'" in answer["detail"][0]["msg"]


def test_lists_of_several_requests_are_answered_by_one_call(serve):
    code = """
        import time
        def lengths(texts: list[str], add: int = 0) -> list[int]:
            time.sleep(0.05)
            return [len(one) + add + 1000 * len(texts) for one in texts]
    """
    with serve(entry="score.py:lengths", files={"score.py": code}, environ={"LADING_WORKERS": "1"}) as served:
        listed = json.loads(served.get("/v2/models/x")[1])["inputs"]
        assert [(one["name"], one["datatype"]) for one in listed] == [("texts", "BYTES"), ("add", "INT64")]
        with ThreadPoolExecutor(16) as pool:
            asked = [{"instances": ["x" * n, "y"]} for n in range(16)]
            answers = list(pool.map(served.predictions, asked))
        assert [[one % 1000 for one in answer] for answer in answers] == [[n, 1] for n in range(16)]
        assert max(one[0] for one in answers) > 4000, "more than one request at once"
        assert served.post({"instances": ["x", 3]})[0] == 400


# forms, read without a server

TYPE = b"multipart/form-data; boundary=xYz"
NAMES = st.text(st.characters(exclude_characters='"\\\r\n%', codec="utf-8"), min_size=1)


@given(st.lists(st.tuples(NAMES, st.binary().filter(lambda data: b"\r\n--xYz" not in b"\r\n" + data))))
def test_a_form_is_read_as_it_was_written(parts):
    body, headers = form(*((name, data, "") for name, data in parts))
    read = multipart.parse(body, headers["content-type"].encode())
    assert [(one.name, one.data) for one in read] == parts


@given(
    st.lists(
        st.sampled_from(
            [b"--xYz", b"\r\n", b"--", b"content-disposition: form-data", b'; name="a"', b"x", b"\0"]
        )
    )
)
def test_any_body_is_a_form_or_refused(pieces):
    try:
        parts = multipart.parse(b"".join(pieces), TYPE)
    except Refusal:
        return
    else:
        assert all(one.name == "a" for one in parts)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "ends before its last boundary"),
        (b"--xYz\r\n", "ends before its last boundary"),
        (b'--xYz\r\ncontent-disposition: form-data; name="a"\r\n\r\nx', "ends before its last boundary"),
        (b"--xYz\r\n\r\nx\r\n--xYz--", "content-disposition: form-data"),
        (b"--xYz\r\ncontent-disposition: form-data\r\n\r\nx\r\n--xYz--", "got no name"),
        (b'--xYz\r\ncontent-disposition: form-data; name="a\r\n\r\nx\r\n--xYz--', "cannot be read"),
        (b"--xYz\r\na: b\r\na: c\r\n\r\nx\r\n--xYz--", "twice"),
        (b"--xYz x\r\n\r\nx\r\n--xYz--", "not on a line of its own"),
        (b"--xYz\r\n" + b"a" * 9000 + b": b\r\n\r\nx\r\n--xYz--", "too many"),
    ],
)
def test_what_is_no_form_is_refused(body, reason):
    with pytest.raises(Refusal, match=reason):
        multipart.parse(body, TYPE)


def test_too_many_parts_and_no_boundary_are_refused():
    with pytest.raises(Refusal) as caught:
        multipart.parse(form(*[("a", b"", "")] * 1001)[0], TYPE)
    assert caught.value.status == 413
    with pytest.raises(Refusal, match="no boundary"):
        multipart.parse(b"", b"multipart/form-data")


def test_another_writer_of_forms_is_understood():
    message = email.message.EmailMessage()
    message["content-type"] = 'multipart/form-data; boundary="a b:c"'
    head = b'Content-Disposition: form-data; name="n\\"%22"; filename="x.txt"\r\nContent-Type: text/plain'
    body = b"preamble\r\n--a b:c \r\n" + head + b"\r\n\r\n1\r\n--a b:c--\r\nend"
    (part,) = multipart.parse(body, message["content-type"].encode())
    assert part == ('n""', b"1", "text/plain", "x.txt")


def test_the_other_parameters_of_a_table_come_beside_it_however_it_is_sent(serve):
    code = """
        import numpy as np
        def predict(x: np.ndarray, power: float = 1.0) -> np.ndarray:
            return x.astype(float) ** power
    """
    with serve(entry="score.py:predict", files={"score.py": code}) as served:

        def refused(status, body, text):
            told = body["message"] if isinstance(body, dict) else json.loads(body)["message"]
            assert (status, text in told) == (400, True), told

        x = {"name": "x", "datatype": "FP64", "shape": [2], "data": [2, 3]}
        infer = "/v2/models/iris/infer"
        status, body = served.post({"inputs": [x], "parameters": {"power": 2, "priority": 1}}, infer)
        assert (status, body["outputs"][0]["data"]) == (200, [4, 9])
        power = {"name": "power", "datatype": "FP64", "shape": [1], "data": [2]}
        assert served.post({"inputs": [x, power]}, infer)[1]["outputs"][0]["data"] == [4, 9]
        refused(*served.post({"inputs": [x], "parameters": {"power": "zzz"}}, infer), "expected a number")
        refused(*served.post({"inputs": [x], "parameters": {"powr": 2}}, infer), "did you mean 'power'")
        csv = {"content-type": "text/csv"}
        status, body, _ = served.ask("POST", "/invocations?power=2", b"2\n3\n", csv)
        assert (status, json.loads(body)) == (200, {"predictions": [[4], [9]]})
        refused(*served.ask("POST", "/invocations?powr=2", b"2\n3\n", csv)[:2], "did you mean 'power'")
        stream = io.BytesIO()
        np.save(stream, np.array([2.0, 3.0]))
        npy = {"content-type": "application/x-npy"}
        status, body, _ = served.ask("POST", "/invocations?power=2", stream.getvalue(), npy)
        assert (status, json.loads(body)) == (200, {"predictions": [4, 9]})


def test_a_body_of_more_bytes_than_rows_are_allowed_is_no_table(serve):
    code = "def count(data: bytes, more: int = 0) -> int:\n    return len(data) + more\n"
    size = 1_100_000
    with serve(entry="score.py:count", files={"score.py": code}) as served:
        body, kind = form(("data", b"x" * size, '; filename="x.bin"'))
        for headers, sent in (
            ({"content-type": "application/octet-stream"}, b"x" * size),
            (kind, body),
        ):
            status, answer, _ = served.ask("POST", "/invocations", sent, headers)
            assert (status, json.loads(answer)) == (200, {"predictions": size}), answer


def test_files_go_as_they_are_unless_the_client_takes_something_else_alone(serve):
    code = """
        import io
        from PIL import Image
        def give(kind: str):
            if kind == "picture":
                return Image.new("RGBA", (2, 2))
            return {"bytes": b"\\xff", "memory": io.BytesIO(b"\\xfe"), "file": open(__file__, "rb")}[kind]
    """
    with serve(entry="score.py:give", files={"score.py": code}) as served:

        def ask(kind, **headers):
            body = json.dumps({"kind": kind}).encode()
            status, data, answered = served.ask(
                "POST", "/invocations", body, {"content-type": "application/json", **headers}
            )
            return status, answered["content-type"], data

        assert ask("bytes") == (200, "application/octet-stream", b"\xff")
        assert ask("memory", accept="*/*") == (200, "application/octet-stream", b"\xfe")
        assert ask("file")[:2] == (200, "text/x-python")
        assert ask("bytes", accept="application/json")[2] == b'{"predictions":"/w=="}'
        assert ask("picture", accept="text/csv")[0] == 406
        status, kind, data = ask("picture", accept="image/jpeg")
        assert (status, kind, Image.open(io.BytesIO(data)).format) == (200, "image/jpeg", "JPEG")


def test_a_generator_is_no_stream_for_who_takes_another_type(serve):
    code = "def count(n: int):\n    for one in range(n):\n        yield {'i': one}"
    with serve(entry="score.py:count", files={"score.py": code}) as served:

        def ask(accept):
            return served.ask(
                "POST", "/invocations", b'{"n":2}', {"content-type": "application/json", "accept": accept}
            )[:2]

        assert ask("text/csv") == (200, b"0\n1\n")
        assert ask("image/png")[0] == 406
        assert ask("*/*")[1].startswith(b"data: ")


def test_tables_reach_a_routine_whose_environment_has_no_numpy(serve):
    code = """
        import sys
        sys.modules["numpy"] = None

        def scale(x: float, by: int = 1) -> float:
            return x * by
    """
    with serve(entry="score.py:scale", files={"score.py": code}) as served:
        status, body, _ = served.ask(
            "POST", "/invocations", b"x,by\n1.5,2\n2,1\n", {"content-type": "text/csv"}
        )
        assert (status, json.loads(body)) == (200, {"predictions": [3.0, 2.0]})
        assert served.predictions({"dataframe_split": {"columns": ["x"], "data": [[1], [2.5]]}}) == [1.0, 2.5]
