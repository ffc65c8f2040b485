"""Merging and cutting: what goes in as several requests comes out as their several answers."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading_runtime import wire
from lading_runtime.front import batch as front
from lading_runtime.front.channel import Answer
from lading_runtime.front.encode import Input
from lading_runtime.worker import batch as worker
from lading_runtime.worker import inputs, loop

POISON = 666.0


def matrix(rows):
    data = np.array(rows, dtype="<f8").tobytes()
    return Input("frame", [(wire.tensor("matrix", "FP64", [len(rows), 2], data), data)], columns=["a", "b"])


def columns(rows):
    numbers = np.array([number for _, number in rows], dtype="<i8").tobytes()
    texts = json.dumps([text for text, _ in rows]).encode()
    entries = [
        wire.tensor("t", wire.JSON, [len(rows)], texts),
        wire.tensor("n", "INT64", [len(rows)], numbers),
    ]
    return Input("frame", list(zip(entries, [texts, numbers], strict=True)))


class Model:
    """Doubles its input; how it returns it is asked for."""

    def __init__(self, shape="array"):
        self.shape = shape
        self.calls = []

    def predict(self, request):
        data = request.array()
        self.calls.append(len(data))
        if self.shape == "text":
            return np.array([f"{first}|{second}" for first, second in data], dtype=object)
        if (data[:, 0] == POISON).any():
            raise inputs.RefusedError("poison")
        if self.shape == "frame":
            return pd.DataFrame(data * 2, columns=["x", "y"])
        if self.shape == "mean":
            return data.mean(axis=0)[:1]
        if self.shape == "outputs":
            return [data, data]
        return data * 2


def run(model, wanted):
    """Send requests as one message, through the bytes of both sides; return an answer for each."""
    rows = [front.rows_of(one) for one in wanted]
    assert all(rows)
    assert all(front.are_alike(wanted[0], one) for one in wanted)
    names = [str(index) for index in range(len(wanted))]
    data = b"".join(front.message(wanted, rows, names))
    header_bytes, _ = wire.lengths(data[: wire.PREFIX.size])
    start = wire.PREFIX.size + header_bytes
    header = json.loads(data[wire.PREFIX.size : start])
    document, buffers = worker.answer(model, header, memoryview(bytearray(data[start:])), loop.answer)
    answer = Answer(json.loads(json.dumps(document)), memoryview(b"".join(buffers)))
    return list(front.split(answer, rows)), document


def array(answer):
    """Read an answer of one tensor, or of several columns, back into an array."""
    outputs = wire.split(answer.header["outputs"], answer.body)
    parts = [np.frombuffer(data, "<f8").reshape(entry["shape"]) for entry, data in outputs]
    return parts[0] if len(parts) == 1 else np.column_stack(parts)


values = st.floats(-1e9, 1e9) | st.just(POISON)
tables = st.lists(st.lists(st.tuples(values, values), min_size=1, max_size=4), min_size=2, max_size=12)


@settings(max_examples=150, deadline=None)
@given(tables, st.sampled_from(["array", "frame"]))
def test_each_request_gets_its_own_rows_and_a_poisoned_row_fails_its_own_request_alone(requests, shape):
    model = Model(shape)
    answers, document = run(model, [matrix(rows) for rows in requests])
    assert len(answers) == len(requests)
    for rows, answer in zip(requests, answers, strict=True):
        if any(row[0] == POISON for row in rows):
            assert answer.header["error"] == {"kind": "refused", "message": "poison"}
        else:
            assert array(answer).tolist() == (np.array(rows) * 2).tolist()
    poisoned = sum(any(row[0] == POISON for row in rows) for rows in requests)
    assert "unbatchable" not in document
    if not poisoned:
        assert model.calls == [sum(map(len, requests))], "one call for all"
    # a poisoned request costs its way down the halves, and the others there
    assert len(model.calls) <= 1 + poisoned * 2 * len(requests).bit_length()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(), st.integers(-(2**63), 2**63 - 1)), min_size=2, max_size=9))
def test_texts_of_single_rows_are_merged_and_dealt_out(rows):
    answers, _ = run(Model("text"), [columns([row]) for row in rows])
    for (text, number), answer in zip(rows, answers, strict=True):
        assert json.loads(bytes(answer.body)) == [f"{text}|{number}"]


@pytest.mark.parametrize("shape", ["mean", "outputs"])
def test_a_model_that_does_not_answer_by_row_is_asked_for_one_request_after_another(shape):
    model = Model(shape)
    answers, document = run(model, [matrix([[1, 2]]), matrix([[3, 4]])])
    assert document["unbatchable"]
    assert model.calls == [2, 1, 1]
    if shape == "mean":
        assert [array(one).tolist() for one in answers] == [[1.0], [3.0]]
    else:
        assert [json.loads(bytes(one.body)) for one in answers] == [
            [[[1, 2]], [[1, 2]]],
            [[[3, 4]], [[3, 4]]],
        ]


def test_only_requests_of_one_form_are_merged():
    ints = np.array([[1, 2]], dtype="<i8").tobytes()
    other = [
        matrix([[1, 2]])._replace(columns=["b", "a"]),
        matrix([[1, 2]])._replace(content="array"),
        Input("frame", [(wire.tensor("matrix", "INT64", [1, 2], ints), ints)], columns=["a", "b"]),
        columns([("a", 1)]),
    ]
    assert not any(front.are_alike(matrix([[3, 4]]), one) for one in other)
    assert front.are_alike(matrix([[3, 4]]), matrix([[1, 2], [5, 6]]))


def test_what_could_change_by_being_merged_is_not():
    null = json.dumps([None]).encode()
    two = json.dumps(["a", "b"]).encode()
    empty = matrix(np.zeros((0, 2)))
    assert front.rows_of(empty) == 0
    assert front.rows_of(matrix([[1, 2]])._replace(params={"a": 1})) == 0
    assert front.rows_of(Input("frame", [(wire.tensor("t", wire.JSON, [1], null), null)])) == 0
    assert front.rows_of(Input("frame", [(wire.tensor("t", wire.JSON, [2], two), two)])) == 0
    assert front.rows_of(Input("array", [(wire.tensor("t", "FP64", [], b"12345678"), b"12345678")])) == 0


def test_an_answer_that_does_not_add_up_is_an_error():
    data = np.zeros((3, 1)).tobytes()
    header = {"parameters": {"content": "array"}, "outputs": [wire.tensor("o", "FP64", [3, 1], data)]}
    with pytest.raises(wire.WireError, match="got 3 rows of 'o', expected 2"):
        list(front.split(Answer(header, memoryview(data)), [1, 1]))
    with pytest.raises(wire.WireError, match="got 1 answers, expected 2"):
        list(front.split(Answer({"answers": [{}]}, memoryview(b"")), [1, 1]))


class Many(Model):
    def predict_many(self, requests):
        self.calls.append(len(requests))
        bodies = [one.json() for one in requests]
        if "poison" in bodies:
            raise RuntimeError
        return [{"got": one} for one in bodies]

    def predict(self, request):
        self.calls.append(1)
        if request.json() == "poison":
            raise inputs.RefusedError("poison")
        return {"got": request.json()}


def body(value):
    data = json.dumps(value).encode()
    return Input("json", [(wire.tensor("body", wire.JSON, [1], data), data)])


def test_a_routine_that_takes_many_is_given_many():
    model = Many()
    answers, _ = run(model, [body(1), body("two"), body([3])])
    assert [json.loads(bytes(one.body)) for one in answers] == [{"got": 1}, {"got": "two"}, {"got": [3]}]
    assert model.calls == [3]
    answers, _ = run(model, [body(1), body("poison"), body(3), body(4)])
    assert ["error" in one.header for one in answers] == [False, True, False, False]


def test_a_routine_that_takes_one_is_given_one_after_another():
    class One(Many):
        predict_many = None

    answers, document = run(One(), [body(1), body(2)])
    assert document["unbatchable"]
    assert [json.loads(bytes(one.body)) for one in answers] == [{"got": 1}, {"got": 2}]
