"""Columns that a pipeline drops may hold anything."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from lading_runtime import wire
from lading_runtime.compile.prove import Effort
from lading_runtime.compiled.form import Refused

RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "name": [f"customer {index}" for index in range(100)],
        "city": RANDOM.choice(["Bern", "Genf"], 100),
        "income": RANDOM.normal(3e4, 1e4, 100),
    }
)
EFFORT = Effort(random_rows=300, edge_rows=100, odd_cells=3, measured_s=0.0)


@pytest.mark.parametrize("frame", [FRAME, FRAME.drop(columns="city")], ids=["text", "numbers"])
def test_a_dropped_column_may_hold_text(proved, frame):
    steps = [("number", StandardScaler(), ["income"])]
    if "city" in frame:
        steps.append(("text", OneHotEncoder(handle_unknown="ignore"), ["city"]))
    model = make_pipeline(ColumnTransformer(steps), DecisionTreeClassifier(random_state=0))
    model.fit(frame, frame.income > 3e4)
    proof, form = proved(model, effort=EFFORT, examples=frame.head(3).to_numpy().tolist())
    assert proof["proved"], proof
    assert form.document["ignored"] == [0]
    for index in range(1, frame.shape[1]):
        row = [*frame.iloc[0]]
        row[index] = [1]
        data = json.dumps(row).encode()
        entry = wire.tensor("rows", wire.JSON, [1, len(row)], data)
        with pytest.raises(Refused):
            form.answer("frame", [(entry, data)], list(frame))


def test_an_example_that_the_form_cannot_read_is_not_thrown_away(proved):
    model = DecisionTreeClassifier(random_state=0).fit(FRAME[["income"]], FRAME.income > 3e4)
    proof, _ = proved(model, effort=EFFORT, examples=[["30"], ["much"], [None]])
    assert proof["proved"], proof
