"""Scores of classes in, the statement that gives what a classifier's method gives out."""

# labels may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lading_runtime.compile.notes import Fitted, NotCompiled, Source, literal

_DATATYPES = {"b": "BOOL", "i": "INT", "u": "UINT", "f": "FP", "U": "JSON", "O": "JSON"}


def describe(classes: Any) -> tuple[list[Any], str]:
    """Return the labels of a model's array of classes, and the datatype that the worker gives them."""
    what = _DATATYPES.get(classes.dtype.kind)
    if what is None or classes.ndim != 1:
        raise NotCompiled(f"labels of {classes.dtype}")
    labels = classes.tolist()
    if what == "JSON" and not all(type(one) in {str, int, float, bool} for one in labels):
        raise NotCompiled("labels that are neither text nor numbers")
    sized = what in {"INT", "UINT", "FP"}
    return labels, f"{what}{classes.dtype.itemsize * 8}" if sized else what


def choose(source: Source, method: str, classes: Any, scores: Sequence[str]) -> Fitted:
    """Give the label of the first highest score, or the scores themselves as probabilities."""
    if method == "predict_proba":
        return Fitted(f"put_all(({', '.join(scores)},))", "FP64", len(scores))
    if method != "predict":
        raise NotCompiled(f"method {method!r}")
    labels, datatype = describe(classes)
    if len(scores) == 1:
        return Fitted(f"put({literal(labels[0])})", datatype, None)
    if len(scores) == 2:
        first, second = map(literal, labels)
        return Fitted(f"put({second} if {scores[1]} > {scores[0]} else {first})", datatype, None)
    names = source.constant(f"({', '.join(map(literal, labels))},)")
    source.body.append(f"p = ({', '.join(scores)},)")
    return Fitted(f"put({names}[p.index(max(p))])", datatype, None)
