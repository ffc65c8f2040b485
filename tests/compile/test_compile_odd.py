"""Cells of types that a model does not take: the form answers, or refuses, what its original does."""

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from lading_runtime.compile import probes
from lading_runtime.compile.prove import Effort

ODD = Effort(random_rows=30, edge_rows=30, odd_cells=10, measured_s=0.0)
RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "size": RANDOM.normal(5, 2, 60),
        "city": RANDOM.choice(["Bern", "Zürich", "Genf"], 60),
        "plan": RANDOM.choice(["a", "b"], 60),
    }
)
NUMBERS = pd.DataFrame(RANDOM.normal(5, 2, (60, 3)), columns=list("abc"))
LABELS = (FRAME["size"] > 5).map({True: "yes", False: "no"})
SCALED = ("size", StandardScaler(), ["size"])


def tree():
    return DecisionTreeClassifier(max_depth=3, random_state=0)


def encoded(*encoders):
    return make_pipeline(
        ColumnTransformer([SCALED, ("text", make_pipeline(*encoders), ["city", "plan"])]), tree()
    )


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (encoded(OneHotEncoder(handle_unknown="ignore")), FRAME),
        (encoded(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)), FRAME),
        (encoded(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), FRAME),
        (make_pipeline(OneHotEncoder(handle_unknown="ignore"), tree()), FRAME[["city", "plan"]].to_numpy()),
        (tree(), NUMBERS),
        (make_pipeline(StandardScaler(), tree()), NUMBERS.to_numpy()),
        (LinearRegression(), NUMBERS),
        (xgboost.XGBClassifier(n_estimators=2, n_jobs=1), NUMBERS),
        (xgboost.XGBClassifier(n_estimators=2, n_jobs=1), NUMBERS.to_numpy()),
        (lightgbm.LGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1), NUMBERS),
    ],
    ids=["one-hot", "ordinal", "imputed", "text", "tree", "scaled", "linear", "xgboost", "array", "lightgbm"],
)
def test_cells_of_other_types_are_answered_or_refused_as_the_original_does(proved, model, table):
    is_text = isinstance(model, DecisionTreeClassifier) or hasattr(model, "steps")
    labels = LABELS if is_text else (LABELS == "yes") * 1
    proof, _ = proved(model.fit(table, labels), effort=ODD)
    assert proof["proved"], proof


def test_a_form_that_reads_texts_as_numbers_where_the_original_does_not_is_refused(proved, monkeypatch):
    """As LightGBM's form once did: it answered "1" for 1."""
    model = lightgbm.LGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1).fit(NUMBERS, LABELS == "yes")
    from lading_runtime.compile import build

    monkeypatch.setattr(build, "_OF_FRAMES", frozenset())
    proof, _ = proved(model, effort=ODD)
    assert not proof["proved"]
    assert "the original refused what the compiled form answered" in proof["reason"]


def test_every_type_of_json_is_tried():
    assert {type(cell) for cell in probes.ODD} == {type(None), bool, int, float, str, list, dict}
