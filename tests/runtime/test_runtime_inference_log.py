"""What is recorded of predictions, where, and what is not."""

import base64
import io
import json
import subprocess
import sys
import time

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading_runtime import log, wire
from lading_runtime.front import inference_log, inputs, parquet
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input, body
from lading_runtime.front.inference_log import InferenceLog, to_row
from lading_runtime.front.messages import Refusal
from lading_runtime.front.redact import REDACTED, Redactor
from lading_runtime.front.sink import JsonLines, Parquet
from lading_runtime.front.tensors import Tensor
from lading_runtime.front.trace import Seen

ECHO = {
    "score.py": "def init(): pass\ndef run(raw):\n    assert raw != 'fail', raw\n    return {'got': raw}\n"
}
JSON = {"content-type": "application/json"}
FACTS = {"model": "iris", "version": "1", "digest": "sha256:12"}


def read(path):
    return [json.loads(one) for one in path.read_text(encoding="utf-8").splitlines()]


def await_records(path, count):
    deadline = time.monotonic() + 20
    while not path.exists() or len(read(path)) < count:
        assert time.monotonic() < deadline, path.exists() and read(path)
        time.sleep(0.01)
    return read(path)


def test_a_prediction_is_recorded_with_what_went_in_and_came_out(
    serve, tmp_path, named_model, iris_signature
):
    path = tmp_path / "log.jsonl"
    environ = {"LADING_INFERENCE_LOG": str(path), "LADING_INFERENCE_LOG_REDACT": "petal width (cm)"}
    names = [one["name"] for one in iris_signature["inputs"]]
    with serve(named_model, signature=iris_signature, environ=environ, version="3") as served:
        split = {"columns": names, "data": [[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 5.0, 1.8]]}
        sent = json.dumps({"dataframe_split": split})
        served.ask("POST", "/invocations", sent, {**JSON, "x-request-id": "one"})
        tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}
        served.post({"inputs": [tensor]}, "/v2/models/iris/infer")
        served.post({"dataframe_split": {"columns": ["a"], "data": [[1]]}})
        first, second = await_records(path, 2)
        assert served.metric('lading_inference_log_records_total{outcome="written"}') == 2
    assert first["inputs"] == dict(zip(names, [[5.1, 6.0], [3.5, 3.0], [1.4, 5.0], REDACTED], strict=True))
    assert first["outputs"] == [0, 2]
    assert (first["status"], first["route"], first["error"]) == (200, "/invocations", "")
    assert (first["request_id"], first["model"], first["version"]) == ("one", "iris", "3")
    assert first["digest"].startswith("sha256:")
    assert 0 < first["model_s"] <= first["duration_s"] < 60
    assert second["route"] == "/v2/models/{name}/infer"
    assert second["outputs"] == [0]


def test_a_prediction_that_fails_is_recorded_too_and_what_never_reached_the_model_is_not(serve, tmp_path):
    path = tmp_path / "log.jsonl"
    with serve(entry="score.py", files=ECHO, environ={"LADING_INFERENCE_LOG": str(path)}) as served:
        served.post({"a": [1, "x"]})
        served.post("fail")
        served.post(b"{")
        first, second = await_records(path, 2)
        assert served.stop() == 0
    assert (first["inputs"], first["outputs"]) == ({"a": [1, "x"]}, {"got": {"a": [1, "x"]}})
    assert (second["inputs"], second["outputs"], second["status"]) == ("fail", None, 500)
    assert "AssertionError" in second["error"]
    assert len(read(path)) == 2


SLOW = {
    "score.py": """
import os, time
def init(): pass
def run(data):
    time.sleep(data)
    os._exit(1) if data > 0.5 else None
"""
}


def test_a_prediction_that_never_came_is_recorded_with_the_time_it_had(serve, tmp_path):
    path = tmp_path / "log.jsonl"
    with serve(entry="score.py", files=SLOW, environ={"LADING_INFERENCE_LOG": str(path)}) as served:
        headers = {"content-type": "application/json", "x-request-timeout-seconds": "0.2"}
        assert served.ask("POST", "/score", b"0.4", headers)[0] == 504
        (left,) = await_records(path, 1)
        assert served.ask("POST", "/score", b"0.6", {"content-type": "application/json"})[0] == 500
        _, ended = await_records(path, 2)
        counted = served.metric("lading_predict_seconds_count")
    assert (left["status"], ended["status"], counted) == (499, 500, 2)
    assert 0 < left["model_s"] < ended["model_s"]


def test_a_stream_is_recorded_when_it_has_ended(serve, tmp_path):
    path = tmp_path / "log.jsonl"
    files = {"score.py": "def init(): pass\ndef run(raw):\n    yield raw\n    print('midway')\n    yield 2\n"}
    environ = {"LADING_INFERENCE_LOG": str(path), "LADING_LOG_FORMAT": "json"}
    with serve(entry="score.py", files=files, environ=environ) as served:
        headers = {**JSON, "accept": "text/event-stream", "x-request-id": "flow"}
        status, body, answered = served.ask("POST", "/invocations", b'"x"', headers)
        assert (status, answered["x-request-id"]) == (200, "flow"), body
        assert b"2" in body
        (found,) = await_records(path, 1)
        assert (found["request_id"], found["inputs"], found["outputs"]) == ("flow", "x", None)
        assert (found["status"], found["route"]) == (200, "/invocations")
        assert served.metric('lading_request_duration_seconds_count{route="/invocations"}') == 1
        served.await_log("midway")
        (line,) = [one for one in map(json.loads, served.log.splitlines()) if one["message"] == "midway"]
        assert line["request_id"] == "flow"


def test_nothing_of_a_body_is_written_unless_it_is_asked_for(serve):
    with serve(entry="score.py", files=ECHO, environ={"LADING_ACCESS_LOG": "1"}) as served:
        served.post("a secret")
        served.post(b'{"a secret')
        served.await_log("POST /invocations 400")
        assert "POST /invocations 200" in served.log
        assert "secret" not in served.log


def test_standard_output_has_the_records_alone(serve):
    environ = {"LADING_INFERENCE_LOG": "-", "LADING_LOG_FORMAT": "json"}
    with serve(entry="score.py", files=ECHO, environ=environ) as served:
        served.post("seen")
        served.await_log('"inputs"')
        records = [one for one in map(json.loads, served.log.splitlines()) if "inputs" in one]
    assert [one["inputs"] for one in records] == ["seen"]


def test_what_waits_is_written_at_the_end_as_parquet(serve, tmp_path):
    environ = {"LADING_INFERENCE_LOG": str(tmp_path / "log.parquet")}
    with serve(entry="score.py", files=ECHO, environ=environ) as served:
        began = time.time()
        for number in range(3):
            served.post({"number": number})
        assert served.stop() == 0
    (found,) = tmp_path.iterdir()
    table = pyarrow.parquet.read_table(found)
    rows = table.to_pylist()
    assert [json.loads(one["inputs"]) for one in rows] == [{"number": number} for number in range(3)]
    assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
    assert abs(rows[0]["time"].timestamp() - began) < 60
    assert {(one["status"], one["route"], one["model"]) for one in rows} == {(200, "/invocations", "iris")}


@pytest.mark.parametrize("name", ["no/such/folder/log.jsonl", "no/such/folder/log.parquet"])
def test_a_path_that_cannot_be_written_is_told_of_and_the_server_serves(serve, tmp_path, name):
    environ = {"LADING_INFERENCE_LOG": str(tmp_path / name)}
    with serve(entry="score.py", files=ECHO, environ=environ) as served:
        served.await_log("No such file or directory: predictions are not recorded")
        assert served.predictions("x") == {"got": "x"}


def test_a_full_disk_loses_records_and_no_request(serve):
    with serve(entry="score.py", files=ECHO, environ={"LADING_INFERENCE_LOG": "/dev/full"}) as served:
        assert served.predictions("x") == {"got": "x"}
        served.await_log("the inference log loses records: No space left on device")
        assert served.metric('lading_inference_log_records_total{outcome="write_failed"}') == 1
        assert served.predictions("y") == {"got": "y"}


def answer(data, datatype="INT64", shape=(2,), content="array"):
    entry = wire.tensor("output-0", datatype, shape, data)
    return Answer({"parameters": {"content": content}, "outputs": [entry]}, memoryview(data), 0.5, 1.5)


class Kept:
    """A sink that remembers; it can be slow, or broken."""

    def __init__(self):
        self.lines = []
        self.closed = False

    def write(self, data):
        self.lines += [json.loads(one) for one in data.splitlines()]

    def tick(self):
        pass

    def close(self):
        self.closed = True


def recorded(wanted, given_answer=None, refusal=None, redact=""):
    sink = Kept()
    taker = InferenceLog(sink, FACTS, 1.0, Redactor(redact))
    taker.record(Seen("id", "/a"), wanted, given_answer, refusal, 2.5)
    taker.close()
    assert sink.closed
    (found,) = sink.lines
    return found


def test_every_kind_of_tensor_is_recorded_as_json():
    data = wire.tensor("a", "FP32", [2, 1], b"\0\0\x80?\0\0\0@")
    found = recorded(Input("tensors", [(data, b"\0\0\x80?\0\0\0@")]), answer(b"\1\0", "BOOL"))
    assert found["inputs"] == {"a": [[1.0], [2.0]]}
    assert found["outputs"] == [True, False]
    assert (found["queue_s"], found["model_s"], found["duration_s"]) == (0.5, 1.5, 2.5)
    found = recorded(body(b'{"broken": "\\ud800"}'), answer(b'"x"', wire.JSON, (1,), "json"))
    assert found["outputs"] == "x"
    assert found["inputs"] == '{"broken": "\\ud800"}', "no Unicode: kept as it was sent"
    found = recorded(Input("array", [(wire.tensor("a", "FP64", [], bytes(8)), bytes(8))], params={"k": 1}))
    assert (found["inputs"], found["params"], found["outputs"]) == (0.0, {"k": 1}, None)


SENT = [
    b'{"age": "AGE9", "nan": NaN}',
    b'\xef\xbb\xbf{"age": "AGE9"}',
    '{"age": "AGE9"}'.encode("utf-16"),
    b'{"age": "AGE9", "x": "\\ud800"}',
    b'"{\\"age\\": \\"AGE9\\"}"',
    b'{"a": ["{\\"age\\": \\"AGE9\\", \\"n\\": NaN}"]}',
    b'{"a": "{\\"age\\": \\"AGE9\\", oops"}',
    b'{"a": "\\"{\\\\\\"age\\\\\\": \\\\\\"AGE9\\\\\\"}\\""}',
    b'{"a": "{\\"a\\": {\\"age\\": \\"AGE9\\"}, \\"a\\": 1}"}',
    b'"age": AGE9',
    b"[" * 300 + b'{"age": "AGE9"}' + b"]" * 300,
]


@pytest.mark.parametrize("sent", SENT)
def test_what_may_not_be_kept_is_hidden_however_it_is_spelt(sent):
    found = recorded(body(sent), answer(sent, wire.JSON, (1,), "json"), redact="age")
    assert "AGE9" not in json.dumps(found)
    assert found["inputs"] == found["outputs"] is not None


@pytest.mark.parametrize("sent", [*SENT, b"age=AGE9", b'\xff{"age": "AGE9"}'])
def test_what_may_not_be_kept_is_hidden_in_a_routines_bodies(sent):
    whole = Input("media", [(wire.tensor("body", "UINT8", [len(sent)], sent), sent)])
    assert "AGE9" not in json.dumps(recorded(whole, redact="age"))
    form = Input("form", [(wire.tensor("age", "UINT8", [4], b"AGE9"), b"AGE9"), *whole.tensors])
    assert "AGE9" not in json.dumps(recorded(form, redact="age"))
    assert recorded(Input("media", [(wire.tensor("body", "UINT8", [2], b"hi"), b"hi")]))["inputs"] == "hi"


@pytest.mark.parametrize("sent", [b'{"age": "AGE9"}', b'\xff{"age": "AGE9"}'])
def test_what_may_not_be_kept_is_hidden_in_a_routines_tensors(sent):
    tensors = [Tensor("a", "BYTES", [1], values=[sent]), Tensor("age", "BYTES", [1], values=[b"AGE9"])]
    found = recorded(inputs.named(tensors, {wire.QUERY: "age=AGE9&b=1"}), redact="age")
    assert found["params"] == {"age": "[redacted]", "b": "1"}
    assert "AGE9" not in json.dumps(found)
    assert base64.b64encode(sent).decode() not in json.dumps(found)


def test_texts_that_hide_nothing_are_kept_as_they_are():
    for text in ("[INST] hi", '{"b": 1}', '"quoted"', "a {age}", "[1, 2]"):
        assert recorded(body(json.dumps(text).encode()), redact="age")["inputs"] == text


@pytest.mark.parametrize("redact", ["", "age"])
def test_what_cannot_be_recorded_is_counted_and_the_next_is_recorded(redact):
    sink = Kept()
    taker = InferenceLog(sink, FACTS, 1.0, Redactor(redact))
    deep = json.loads("[" * 900 + "]" * 900)
    bad = Input("array", [({"datatype": "FP64", "shape": [1], "name": "a"}, b"odd")], params={})
    taker.record(None, bad, None, None, 0.0)
    taker.record(None, Input("json", [], params={"a": deep}), None, None, 0.0)
    taker.record(None, body(b"1"), None, None, 0.0)
    taker.close()
    assert taker.dropped["not_recordable"] == 1
    assert [one["inputs"] for one in sink.lines] == [None, 1]


def test_what_is_too_large_for_a_record_is_left_out_of_it():
    data = b'"' + b"x" * inference_log.RECORD_LIMIT_BYTES + b'"'
    assert recorded(body(data))["inputs"] == {"omitted_bytes": len(data)}


def test_an_error_may_quote_what_is_hidden_so_its_words_are_too():
    refusal = Refusal(500, "got 'secret'", reason="model_failed")
    assert recorded(body(b"1"), refusal=refusal)["error"] == "got 'secret'"
    assert recorded(body(b"1"), refusal=refusal, redact="name")["error"] == "model_failed"


@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        ("name", {"name": "x", "a": 1}, {"name": REDACTED, "a": 1}),
        ("name", [{"deep": [{"name": {"x": 1}}]}], [{"deep": [{"name": REDACTED}]}]),
        ("a, b", {"a": 1, "b": [1], "c": "a"}, {"a": REDACTED, "b": REDACTED, "c": "a"}),
        ("/inputs/a", {"a": 1, "b": {"a": 1}}, {"a": REDACTED, "b": {"a": 1}}),
        ("/inputs/*/1", [[1, 2], [3, 4]], [[1, REDACTED], [3, REDACTED]]),
        ("/inputs/a~1b/m~0n", {"a/b": {"m~n": 1}}, {"a/b": {"m~n": REDACTED}}),
        ("/inputs", {"a": 1}, REDACTED),
        ("/*", [1], REDACTED),
        ("/outputs", {"a": 1}, {"a": 1}),
        ("", {"name": 1}, {"name": 1}),
        (
            "age",
            {"dataframe_split": {"columns": ["age", "b"], "index": [0, 1], "data": [[71, 2], [72]]}},
            {
                "dataframe_split": {
                    "columns": ["age", "b"],
                    "index": [0, 1],
                    "data": [[REDACTED, 2], REDACTED],
                }
            },
        ),
        ("b", {"columns": [["x", "b"]], "data": [1, 2]}, {"columns": [["x", "b"]], "data": [REDACTED] * 2}),
        ("b", {"columns": ["b"], "data": "x"}, {"columns": ["b"], "data": REDACTED}),
        ("c", {"columns": ["b"], "data": [[1]]}, {"columns": ["b"], "data": [[1]]}),
        (
            "age",
            {"inputs": [{"name": "age", "shape": [1], "datatype": "INT64", "data": [71], "contents": {}}]},
            {
                "inputs": [
                    {
                        "name": "age",
                        "shape": [1],
                        "datatype": "INT64",
                        "data": REDACTED,
                        "contents": REDACTED,
                    }
                ]
            },
        ),
    ],
)
def test_what_may_not_be_kept_is_hidden(asked, value, expected):
    record = {"inputs": value, "model": "name"}
    assert Redactor(asked).record(record) == {"inputs": expected, "model": "name"}


JSON_VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_a_name_is_hidden_wherever_it_is(value):
    def found(one):
        if isinstance(one, dict):
            return [v for k, v in one.items() if k == "a"] + [x for v in one.values() for x in found(v)]
        return [x for v in one for x in found(v)] if isinstance(one, list) else []

    assert set(found(Redactor("a").record({"inputs": value})["inputs"])) <= {REDACTED}


def test_a_sample_is_a_part():
    sink = Kept()
    taker = InferenceLog(sink, FACTS, 0.25, Redactor(""))
    for _ in range(2000):
        taker.record(None, body(b"1"), None, None, 0.0)
    taker.close()
    assert 350 < len(sink.lines) < 650


def test_what_comes_faster_than_it_is_written_is_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(inference_log, "_MOST_RECORDS", 5)
    sink = Kept()
    taker = InferenceLog(sink, FACTS, 1.0, Redactor(""))
    for _ in range(1000):
        taker.record(None, body(b"1"), None, None, 0.0)
    taker.close()
    assert taker.dropped["queue_full"] > 0
    assert len(sink.lines) + taker.dropped["queue_full"] == 1000
    assert taker.written == len(sink.lines)


def test_large_inputs_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(inference_log, "_MOST_BYTES", 100)
    taker = InferenceLog(Kept(), FACTS, 1.0, Redactor(""))
    taker.record(None, body(b"1" * 101), None, None, 0.0)
    assert taker.dropped["queue_full"] == 1
    taker.close()


def test_files_are_put_by_and_the_oldest_forgotten(tmp_path):
    path = tmp_path / "log"
    lines = JsonLines(str(path), 10, 2)
    for number in range(5):
        lines.write(b"%d-------\n" % number)
    lines.close()
    found = {one.name: one.read_text()[0] for one in tmp_path.iterdir()}
    assert found == {"log": "4", "log.1": "3", "log.2": "2"}
    again = JsonLines(str(path), 100, 2)
    again.write(b"5\n")
    again.close()
    assert path.read_text() == "4-------\n5\n"


def test_no_file_is_larger_than_it_may_be_but_for_a_longer_line(tmp_path):
    lines = JsonLines(str(tmp_path / "log"), 10, 9)
    lines.write(b"1--\n2--\n3--\n" + b"4" * 20 + b"\n5--\n")
    lines.write(b"6--\n7--\n")
    lines.close()
    found = [(tmp_path / name).read_bytes() for name in ("log.4", "log.3", "log.2", "log.1", "log")]
    assert found == [b"1--\n2--\n", b"3--\n", b"4" * 20 + b"\n", b"5--\n6--\n", b"7--\n"]


def test_a_file_that_another_program_removes_is_begun_again(tmp_path):
    path = tmp_path / "log"
    lines = JsonLines(str(path), 100, 2)
    lines.write(b"1\n")
    path.unlink()
    lines.write(b"2\n")
    path.rename(tmp_path / "moved")
    lines.write(b"3\n")
    lines.close()
    assert (path.read_bytes(), (tmp_path / "moved").read_bytes()) == (b"3\n", b"2\n")


def test_a_torn_line_is_taken_back(tmp_path):
    """A disk of 4 KiB takes part of a line, and then no more."""
    code = """
import resource, signal, sys
from lading_runtime.front.sink import JsonLines
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
lines = JsonLines(sys.argv[1], 1 << 30, 2)
lines.write(b"a" * 4000 + b"\\n")
for _ in range(2):
    try:
        lines.write(b"b" * 4000 + b"\\n")
    except OSError as error:
        print(error.strerror)
lines.write(b"c" * 90 + b"\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "log"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["File too large"] * 2
    assert (tmp_path / "log").read_text() == "a" * 4000 + "\n" + "c" * 90 + "\n"


def line(number):
    record = dict.fromkeys(("request_id", "trace_id", "model", "version", "digest", "route", "error"), "")
    numbers = {"status": 200, "duration_s": 0.5, "queue_s": 0.0, "model_s": 0.5}
    times = {"time": log.timestamp(1e9 + number / 1e6)}
    return (
        json.dumps({**record, **numbers, **times, "inputs": number, "params": None, "outputs": 1}).encode()
        + b"\n"
    )


def parquet_files(folder):
    return sorted(one for one in folder.iterdir() if one.suffix == ".parquet")


def test_parquet_files_are_made_of_what_is_full_and_of_what_a_killed_server_left(tmp_path):
    columns = inference_log.COLUMNS
    (tmp_path / "log.parquet.jsonl").write_bytes(line(0) + line(1) + line(2)[:20])
    sink = Parquet(str(tmp_path / "log.parquet"), len(line(3)) * 2, 2, columns, to_row)
    (left,) = parquet_files(tmp_path)
    times = pyarrow.parquet.read_table(left)["time"].to_pylist()
    assert [one.timestamp() for one in times] == [1e9, 1e9 + 1e-6]
    for number in range(3, 9):
        sink.write(line(number))
    sink.write(line(9))
    assert len(parquet_files(tmp_path)) == 3, "the oldest is forgotten"
    sink.close()
    kept = [pyarrow.parquet.read_table(one)["inputs"].to_pylist() for one in parquet_files(tmp_path)]
    assert kept == [["5", "6"], ["7", "8"], ["9"]]
    assert {one.suffix for one in tmp_path.iterdir()} == {".parquet"}


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.text(),
            "b": st.floats(allow_nan=False),
            "c": st.integers(-(2**31), 2**31 - 1),
            "d": st.integers(0, 2**50),
        }
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=3))
def test_what_is_written_as_parquet_is_read_back_by_arrow(groups):

    columns = [parquet.Column(*one) for one in zip("abcd", ("text", "double", "int32", "time"), strict=True)]
    stream = io.BytesIO()
    writer = parquet.Writer(stream, columns)
    for rows in groups:
        writer.write(rows)
    writer.close()
    found = pyarrow.parquet.ParquetFile(io.BytesIO(stream.getvalue()))
    assert found.num_row_groups == len(groups)
    table = found.read()
    every = [row for rows in groups for row in rows]
    for name in "abc":
        assert table[name].to_pylist() == [row[name] for row in every]
    assert table["d"].cast("int64").to_pylist() == [row["d"] for row in every]
