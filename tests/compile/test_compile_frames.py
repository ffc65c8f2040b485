"""Pipelines over named columns of numbers and text."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from lading_runtime import wire
from lading_runtime.compile.build import build
from lading_runtime.compile.notes import NotCompiled
from lading_runtime.compile.prove import Effort
from lading_runtime.compiled.form import Refused
from lading_runtime.loaders.pickle import Estimator
from lading_runtime.worker import inputs

RANDOM = np.random.default_rng(0)
COUNT = 120
FRAME = pd.DataFrame(
    {
        "age": RANDOM.integers(18, 80, COUNT).astype(float),
        "income": RANDOM.normal(5e4, 2e4, COUNT),
        "city": RANDOM.choice(["Bern", "Zürich", "Genf"], COUNT),
        "plan": RANDOM.choice(["a", "b"], COUNT),
    }
)
FRAME.loc[::11, "age"] = np.nan
FRAME.loc[::13, "city"] = None
LABELS = ((FRAME.income > 5e4) | (FRAME.city == "Bern")).map({True: "yes", False: "no"})
NUMBERS = ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"])


def of_objects(answer, cells):
    """Answer rows with these cities, in a column of objects as Azure ML's requests have; None if refused."""
    texts = [(name, json.dumps(values).encode()) for name, values in (("city", cells), ("plan", ["a", "b"]))]
    numbers = [(name, np.array([30.0, 5e4]).tobytes()) for name in ("age", "income")]
    tensors = [(wire.tensor(name, "FP64", [2], data), data) for name, data in numbers]
    tensors += [(wire.tensor(name, "JSON", [2], data, {"type": "object"}), data) for name, data in texts]
    try:
        return np.frombuffer(answer("frame", tensors)[1]).tolist()
    except (Refused, inputs.RefusedError):
        return None


def answering(original):
    def answer(content, tensors):
        header = {"parameters": {"content": content}, "inputs": [entry for entry, _ in tensors]}
        body = memoryview(b"".join(data for _, data in tensors))
        return None, np.asarray(original.predict(inputs.Request(header, body))).tobytes()

    return answer


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        (
            [NUMBERS, ("text", OneHotEncoder(handle_unknown="ignore"), ["city", "plan"])],
            RandomForestClassifier(3, random_state=0),
        ),
        (
            [NUMBERS, ("text", OneHotEncoder(handle_unknown="ignore"), ["city", "plan"])],
            LogisticRegression(),
        ),
        (
            [
                NUMBERS,
                (
                    "text",
                    make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(drop="first")),
                    ["city", "plan"],
                ),
            ],
            GradientBoostingClassifier(n_estimators=3),
        ),
        (
            [
                (
                    "text",
                    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                    ["city", "plan"],
                ),
                ("number", MinMaxScaler(), ["income"]),
            ],
            DecisionTreeClassifier(random_state=0),
        ),
    ],
    ids=["one-hot-forest", "one-hot-linear", "imputed-text", "ordinal-and-dropped"],
)
def test_columns_by_name_are_compiled_bit_for_bit(proved, steps, last):
    model = make_pipeline(ColumnTransformer(steps), last).fit(FRAME, LABELS)
    effort = Effort(random_rows=1_000, edge_rows=200, odd_cells=0, measured_s=0.0)
    proof, form = proved(model, "predict_proba", effort)
    assert proof["proved"], proof
    assert form.facts["names"] == ["age", "income", "city", "plan"]
    original = Estimator(model, "predict_proba")
    for cells in (["Bern", "Genf"], [1, 2], [2.5, None], [True, "Bern"], [None, None], [None, "Genf"]):
        assert of_objects(form.answer, cells) == of_objects(answering(original), cells), cells


def test_columns_by_number_are_compiled_bit_for_bit(proved):
    cells = FRAME[["age", "income"]].fillna(0).to_numpy()
    columns = ColumnTransformer(
        [("first", StandardScaler(), [0]), ("rest", "passthrough", slice(1, 2))], remainder="drop"
    )
    proof, _ = proved(make_pipeline(columns, DecisionTreeClassifier(random_state=0)).fit(cells, LABELS))
    assert proof["proved"], proof


@pytest.mark.parametrize("encoder", [OneHotEncoder(handle_unknown="ignore"), OrdinalEncoder()], ids=str)
def test_categories_that_are_numbers_are_not_compiled(encoder):
    """The original takes "1" for another category than 1, or for the same, by what stands beside it."""
    cells = FRAME[["age"]].fillna(0).round(-1)
    model = make_pipeline(encoder, DecisionTreeClassifier()).fit(cells, LABELS)
    with pytest.raises(NotCompiled, match="categories that are no text"):
        build(model, "predict")
