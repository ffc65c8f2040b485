"""Answers are equal, or it is said where they differ."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.signature import Field, Signature
from lading.verify.compare import differences, predictions
from lading.verify.conform import misfits

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ROWS = st.recursive(
    SCALARS, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=3), one)
)


@given(st.lists(ROWS, max_size=5), st.floats(0, 1))
def test_every_answer_equals_itself(answer, tolerance):
    assert differences(answer, answer, tolerance) == []


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(1e-9, 0.1), st.data())
def test_a_number_farther_off_than_the_tolerance_is_found(answer, tolerance, data):
    row = data.draw(st.integers(0, len(answer) - 1))
    allowed = tolerance * (1 + abs(answer[row]))
    near = [*answer[:row], answer[row] + allowed * 0.9, *answer[row + 1 :]]
    far = [*answer[:row], answer[row] + allowed * 1.1 + 1e-6, *answer[row + 1 :]]
    assert differences(near, answer, tolerance) == []
    assert [one.row for one in differences(far, answer, tolerance)] == [row]


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ([1], [1.0]),
        ([None], [math.nan]),
        ([math.nan], [None]),
        ([math.inf], [math.inf]),
        ([{"b": 1, "a": 2}], [{"a": 2, "b": 1}]),
        ([10**400], [10**400]),
        (7.0000001, 7),
    ],
)
def test_equal(got, expected):
    assert differences(got, expected, 1e-6) == []


@pytest.mark.parametrize(
    ("got", "expected", "text"),
    [
        ([1.5], [1.0], "row 0: got 1.5, expected 1.0, off by 0.5"),
        (["a", "b"], ["a", "c"], "row 1: got 'b', expected 'c'"),
        ([1], [True], "row 0: got 1, expected True"),
        ([None], [1.0], "row 0: got None, expected 1.0"),
        (["1"], [1], "row 0: got '1', expected 1"),
        ([math.inf], [-math.inf], "row 0: got inf, expected -inf"),
        ([10**400], [1.0], "row 0: got 1000"),
        ([1, 2], [1], "the answer: got 2 rows, expected 1 rows"),
        ({"a": 1}, [1], "the answer: got {'a': 1}, expected [1]"),
        (
            [{"a": 1, "b": {"c": [1, 2]}}],
            [{"a": 1, "b": {"c": [1, 3]}}],
            "row 0, column 'b.c[1]': got 2, expected 3",
        ),
        ([{"a": 1}], [{"b": 1}], "row 0: got {'a': 1}, expected {'b': 1}"),
        ([[1, 2]], [[1, 2, 3]], "row 0: got [1, 2], expected [1, 2, 3]"),
        (["x" * 1000], ["y"], f"row 0: got '{'x' * 79}…, expected 'y'"),
    ],
)
def test_different(got, expected, text):
    assert str(differences(got, expected, 1e-6)[0]).startswith(text)


def test_one_difference_is_told_for_each_row():
    assert [one.row for one in differences([[1, 2], [3, 4], [5, 6]], [[0, 0], [3, 4], [0, 0]], 0)] == [0, 2]


def test_mlflows_wrapper_is_taken_off_and_others_are_not():
    assert predictions({"predictions": [1]}) == [1]
    assert predictions({"predictions": [1], "more": 2}) == {"predictions": [1], "more": 2}
    assert predictions([1]) == [1]


def tensor(dtype, *shape):
    return Signature((), (Field("tensor", dtype=dtype, shape=shape),))


TWO = Signature(
    (),
    (Field("tensor", "p", dtype="float64", shape=(-1, 2)), Field("tensor", "n", dtype="int64", shape=(-1,))),
)
SUM = Signature((), (Field("tensor", "p", dtype="float64", shape=()), TWO.outputs[1]))
COLUMNS = Signature((), (Field("long", "n"), Field("string", "label", required=False)))


@pytest.mark.parametrize(
    ("got", "signature", "rows"),
    [
        ([1, 2], None, 2),
        ({"anything": 1}, None, 1),
        ([1.0, None], Signature((), (Field("long"),)), 2),
        ([True], Signature((), (Field("boolean"),)), 1),
        ([{"n": 1, "label": "x"}, {"n": 2}], COLUMNS, 2),
        ([{"total": 1.5}], Signature((), (Field("double"),)), 1),
        ([{"a": 1, "b": "x"}], Signature((), (Field("long"), Field("string"))), 1),
        ([[1, "x"]], COLUMNS, 1),
        ([1, 2, 3], tensor("int64", -1), 3),
        ([[0.1, 0.9]], tensor("float64", -1, 2), 1),
        ([[0.1, 0.9, 0.0]], tensor("float32", -1, -1), 1),
        (["a"], tensor("<U10", -1), 1),
        ([{"p": [1, 2]}], Signature((), (Field("tensor", "p", dtype="float64", shape=(-1, 2)),)), 1),
        ({"p": [[1, 2], [3, 4]], "n": [1, 2]}, TWO, 2),
        ({"p": [], "n": []}, TWO, 2),
        ({"p": 1.5, "n": [1]}, SUM, 1),
    ],
)
def test_what_fits_the_signature(got, signature, rows):
    assert misfits(got, signature, rows) == []


@pytest.mark.parametrize(
    ("got", "signature", "rows", "text"),
    [
        ([1], None, 2, "the answer: got 1 rows, expected 2 rows, as many as were sent"),
        (["a"], Signature((), (Field("double"),)), 1, "row 0: got 'a', expected a number"),
        ([1.5], Signature((), (Field("long"),)), 1, "row 0: got 1.5, expected a whole number"),
        ([1], Signature((), (Field("boolean"),)), 1, "row 0: got 1, expected true or false"),
        ([{"n": "x"}], COLUMNS, 1, "row 0, column 'n': got 'x', expected a whole number"),
        ([{"label": "x"}], COLUMNS, 1, "row 0: got ['label'], expected columns ['label', 'n']"),
        ([{"n": 1, "z": 1}], COLUMNS, 1, "row 0: got ['n', 'z'], expected columns"),
        ([[1]], COLUMNS, 1, "row 0: got [1], expected 2 columns"),
        ([{"a": "x"}], Signature((), (Field("double"),)), 1, "row 0, column '0': got 'x', expected a number"),
        ([{"a": 1, "b": 2}], Signature((), (Field("double"),)), 1, "row 0: got ['a', 'b'], expected columns"),
        ([[1, 2, 3]], tensor("int64", -1, 2), 1, "row 0: got [1, 2, 3], expected a row of shape [2]"),
        ([1], tensor("int64", -1, 2), 1, "row 0: got 1, expected a row of shape [2]"),
        ([["a", "b"]], tensor("float64", -1, 2), 1, "row 0: got ['a', 'b'], expected values of float64"),
    ],
)
def test_what_does_not_fit_the_signature(got, signature, rows, text):
    assert str(misfits(got, signature, rows)[0]).startswith(text)


@pytest.mark.parametrize("kind", ["any", "map", "object"])
def test_an_answer_without_a_name_may_be_an_object_itself(kind):
    signature = Signature(outputs=(Field(kind, required=False),))
    assert misfits({"id": "r1", "output": []}, signature, 1) == []
