"""What a model in PMML answers is laid beside what the original answers."""

import pytest

from lading.core.errors import VerifyError
from lading.pipeline.pmml_answers import pairs

CLASSES = {"probability(a)": 0.25, "probability(b)": 0.75, "predicted_y": "b"}


@pytest.mark.parametrize(
    ("row", "said", "values"),
    [
        ({"predicted_y": 2.5}, 2.5, [2.5]),
        ({"cluster": "1", "affinity(0)": 4.0, "affinity(1)": 0.5}, 1, [1.0]),
        ({"decisionFunction": 0.1, "outlier": False, "predict(outlier)": 1}, 1, [1]),
        ({"predicted_y": True}, True, [1]),
        (CLASSES, "b", ["b"]),
        (CLASSES, [0.25, 0.75], [0.25, 0.75]),
        (CLASSES, 0.75, [0.75]),
    ],
)
def test_what_is_said_is_found_by_its_name(row, said, values):
    ours, theirs = pairs({"predictions": [row]}, {"predictions": [said]}, None)
    assert ours == theirs == values


def test_probabilities_are_compared_with_a_prediction_too():
    assert pairs([CLASSES], ["b"], [[0.5, 0.5]]) == (["b", 0.25, 0.75], ["b", 0.5, 0.5])


def test_rows_that_are_missing_are_told():
    with pytest.raises(VerifyError, match="answers 1 rows of 2"):
        pairs([CLASSES], ["b", "b"], None)
