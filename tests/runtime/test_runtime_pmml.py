"""Numbers as PMML4S has to be given them where a field is one of floats, and what a writer says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lading_runtime import pmml
from lading_runtime.loaders.pmml import _single

# of those next to nought fewer digits tell the number
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)


@given(FLOATS)
def test_a_single_number_is_told_in_its_fewest_digits(value):
    assert _single(value) == float(str(np.float32(value)))


@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30))
def test_numbers_are_ordered_as_single_ones_are(one, other):
    ours, theirs = (_single(one), _single(other)), (np.float32(one), np.float32(other))
    assert (ours[0] < ours[1], ours[0] == ours[1]) == (theirs[0] < theirs[1], theirs[0] == theirs[1])


def test_what_is_no_number_stays():
    assert [_single(one) for one in (None, "a")] == [None, "a"]


SAID = """\
Standard error:
SEVERE: Failed to convert PKL to PMML
org.jpmml.sklearn.SkLearnException: Failed to convert the estimator object (Python class C) to PMML
Solution:
\tSet the 'a' attribute
Stack trace:
\tat a.B.c(D.java:1)
org.jpmml.converter.InvalidLabelException: Expected 2 target categories, got 3
"""


def test_why_nothing_was_written_is_taken_from_what_the_writer_says():
    found = pmml._reason(SAID)
    assert found.split("; ") == [
        "Failed to convert the estimator object (Python class C) to PMML",
        "Expected 2 target categories, got 3",
        "Set the 'a' attribute",
    ]
    assert pmml._reason("\nJava is not installed") == "Java is not installed"
