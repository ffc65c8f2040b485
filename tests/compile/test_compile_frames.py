"""Pipelines over named columns of numbers and text."""

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

from lading_runtime.compile.build import build
from lading_runtime.compile.notes import NotCompiled
from lading_runtime.compile.prove import Effort

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
