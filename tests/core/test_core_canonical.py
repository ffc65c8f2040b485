"""Canonical JSON: equal values, equal bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core import canonical
from lading.core.errors import IntegrityError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_was_written_is_read_back(value: Any) -> None:
    assert canonical.decode(canonical.encode(value), "") == value


@given(st.dictionaries(TEXTS, st.integers()))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert canonical.encode(dict(reversed(value.items()))) == canonical.encode(value)


def test_there_are_no_spaces_and_no_escapes_that_need_not_be() -> None:
    assert canonical.encode({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", "\udcff", {1: 2, "1": 3}])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(IntegrityError, match="cannot be written as JSON"):
        canonical.encode(value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, json.dumps("é").encode("utf-16")])
def test_what_is_no_json_is_refused_with_where_it_came_from(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"^index\.json: is not JSON"):
        canonical.decode(data, "index.json")
