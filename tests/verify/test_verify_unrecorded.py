"""Without a recorded example a made-up row is sent: health alone proves nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lading.core.bill import BilledCode
from lading.core.signature import Field, Signature
from lading.verify.unrecorded import UNPROVED, made_up

TWO = Signature((Field("double"), Field("long")), (Field("double"),))
DRIFT = ("the model was saved with scikit-learn 1.1.2, and the environment has 1.5.2",)
GONE = "AttributeError: 'SimpleImputer' object has no attribute '_fill_dtype'"


def details(report):
    return {one.name: one.detail for one in report.checks}


def test_a_made_up_row_is_answered(check):
    report = check(signature=TWO)
    assert report.passed
    assert details(report)["predictions"] == "no examples are recorded: a made-up row is answered"
    assert UNPROVED not in details(report)


def test_drift_is_told_even_where_a_made_up_row_is_answered(check):
    report = check(signature=TWO, drift=DRIFT)
    assert report.passed
    assert details(report)[UNPROVED].startswith(
        "no recorded prediction was compared; the model was saved with scikit-learn 1.1.2"
    )


@pytest.mark.parametrize("how", ["fails", "logs"])
def test_a_model_that_drifted_and_no_longer_predicts_fails_however_healthy_it_is(check, how):
    report = check(signature=TWO, mode=f"{how}: {GONE}", drift=DRIFT)
    (failed,) = [one for one in report.checks if not one.passed]
    assert failed.name == "predictions"
    assert "answers 500" in failed.detail
    assert GONE in failed.detail
    assert DRIFT[0] in failed.detail


def test_a_module_that_is_missing_fails_without_any_drift(check):
    report = check(signature=TWO, mode="fails: ModuleNotFoundError: No module named 'pandas'")
    assert not report.passed
    assert "No module named 'pandas'" in details(report)["predictions"]


@pytest.mark.parametrize("drift", [(), DRIFT])
def test_a_made_up_value_that_is_refused_fails_nothing_and_is_told(check, drift):
    report = check(signature=TWO, mode="fails: ValueError: Found unknown categories ['text']", drift=drift)
    assert report.passed
    assert details(report)["predictions"] == "no examples are recorded: the model loads"
    assert details(report)[UNPROVED].startswith("nothing was predicted: a row made up by the signature was")
    assert "unknown categories" in details(report)[UNPROVED]


def test_without_a_signature_it_is_told_that_nothing_was_predicted(check):
    report = check(drift=DRIFT)
    assert report.passed
    assert details(report)[UNPROVED].startswith("nothing was predicted")
    assert DRIFT[0] in details(report)[UNPROVED]
    assert "example" in details(report)[UNPROVED]


@pytest.mark.parametrize(
    ("inputs", "sent"),
    [
        ((Field("double", "a"), Field("string", "b")), {"columns": ["a", "b"], "data": [[0.0, "text"]]}),
        ((Field("boolean", "a"), Field("array", "b")), {"columns": ["a", "b"], "data": [[False, []]]}),
    ],
)
def test_named_columns_are_sent_as_a_data_frame(bill, inputs, sent):
    made = made_up(replace(bill, model=replace(bill.model, signature=Signature(inputs))))
    assert made.inputs == {"dataframe_split": sent}
    json.dumps(made.inputs)


@pytest.mark.parametrize(
    ("inputs", "sent"),
    [
        ((Field("tensor", dtype="float32", shape=(-1, 2, 3)),), [[[0.0] * 3] * 2]),
        ((Field("tensor", "x", dtype="int64", shape=(-1, 1)),), {"x": [[0]]}),
        ((Field("tensor", "x", dtype="str", shape=(-1,)),), {"x": ["text"]}),
    ],
)
def test_tensors_are_sent_in_their_shape(bill, inputs, sent):
    made = made_up(replace(bill, model=replace(bill.model, signature=Signature(inputs))))
    assert made.inputs == {"inputs": sent}


def test_nothing_is_made_up_for_a_routine_of_the_authors_own_or_for_endless_tensors(bill):
    of_routine = replace(
        bill,
        model=replace(bill.model, signature=TWO),
        code=BilledCode("/opt/lading/code", "score.py"),
    )
    assert made_up(of_routine) is None
    huge = Signature((Field("tensor", dtype="uint8", shape=(-1, 100_000, 100_000)),))
    assert made_up(replace(bill, model=replace(bill.model, signature=huge))) is None
