"""Linear models, whose sums are added as OpenBLAS adds them."""

import math
import random
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC

from lading_runtime.compile.build import build
from lading_runtime.compile.library import MODULE
from lading_runtime.compile.notes import NotCompiled
from lading_runtime.compile.prove import Effort, prove
from lading_runtime.compiled.form import Form
from lading_runtime.loaders.pickle import Estimator

X, Y = load_iris(return_X_y=True)
WIDE, SICK = load_breast_cancer(return_X_y=True)
FRAME = pd.DataFrame(X, columns=list("abcd"))
LIBRARY = {}
exec(MODULE, LIBRARY)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=500).fit(X, Y),
        LogisticRegression(max_iter=500).fit(FRAME, np.array(["a", "b"])[(Y == 1) * 1]),
        Perceptron().fit(X, Y),
        SGDClassifier(random_state=0).fit(X, Y == 1),
        RidgeClassifier().fit(X, Y),
        LinearSVC().fit(X, Y),
        make_pipeline(StandardScaler(), LogisticRegression()).fit(WIDE, SICK),
    ],
    ids=str,
)
def test_a_linear_classifier_gives_the_same_labels(proved, model):
    proof, _ = proved(model)
    assert proof["proved"], proof


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (LinearRegression().fit(X, X[:, 0]), "predict"),
        (Ridge().fit(X[:, :1], X[:, 1]), "predict"),
        (ElasticNet(0.01).fit(WIDE[:, :15], WIDE[:, 16]), "predict"),
        (make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge()).fit(X, X[:, 0]), "predict"),
        (LogisticRegression(max_iter=500).fit(X, Y == 1), "predict_proba"),
        (LogisticRegression(max_iter=500).fit(X, Y), "decision_function"),
        (RidgeClassifier().fit(WIDE, np.arange(len(WIDE)) % 7), "decision_function"),
    ],
    ids=str,
)
def test_a_linear_model_gives_the_same_numbers(proved, model, method):
    """They are those of OpenBLAS on processors with AVX2 or AVX-512, where tests run."""
    proof, _ = proved(model, method)
    assert proof["proved"], proof


@pytest.mark.parametrize(
    "model",
    [LinearRegression().fit(FRAME, X[:, 0]), make_pipeline(StandardScaler(), Ridge()).fit(FRAME, X[:, 0])],
    ids=str,
)
def test_a_named_table_of_any_number_of_rows_is_added_as_the_original_does(proved, tmp_path, model):
    """BLAS adds otherwise where there are two or three rows, or some after whole fours: one bit is enough."""
    proof, _ = proved(model)
    assert proof["kept"], proof
    text = (tmp_path / "form.py").read_text(encoding="utf-8")
    (tmp_path / "form.py").write_text(text.replace("[dot_pairs]", "[dot]"), encoding="utf-8")
    points = build(model, "predict").points
    proof = prove(
        Estimator(model, "predict"),
        Form(str(tmp_path)),
        points,
        effort=Effort(random_rows=100, measured_s=0.0),
    )
    assert not proof["kept"]
    assert "among 2 rows" in proof["reason"] or "among 3 rows" in proof["reason"]


def test_more_columns_than_the_order_is_known_for_are_not_compiled():
    with pytest.raises(NotCompiled, match="30 columns"):
        build(RidgeClassifier().fit(WIDE, SICK), "decision_function")


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_fused_sum_is_rounded_once(one, other, added):
    got = LIBRARY["fused"](one, other, added)
    exact = Fraction(one) * Fraction(other) + Fraction(added)
    try:
        assert got == float(exact)
    except OverflowError:
        assert math.isinf(got)
        assert (got > 0) == (exact > 0)


def test_the_exponential_of_single_precision_is_close():
    for _ in range(2_000):
        value = random.uniform(-80, 80)
        assert LIBRARY["expf"](value) == pytest.approx(math.exp(value), rel=1e-7)
