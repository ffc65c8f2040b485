"""A fitted estimator and its method in, a compiled form's documents and text out."""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple  # noqa: UP035 - `Compiler` is evaluated under Python 3.8

from lading_runtime.compile import boosting, forests, lightgbm, xgboost
from lading_runtime.compile.notes import Fitted, NotCompiled, Points, Source, Table, kind
from lading_runtime.compile.steps import transform
from lading_runtime.compiled.form import FORMAT

_MODULE = '''\
"""A compiled model; made by lading, equal to the original as its proof says."""
from array import array
from math import exp, fsum, ldexp

NAN, INF = float("nan"), float("inf")


def check(cells, takes_nan, dtype):
    for one in cells:
        if one in (INF, -INF):
            raise ValueError(f"Input X contains infinity or a value too large for dtype('{dtype}').")
        if one != one and not takes_nan:
            raise ValueError("Input X contains NaN.")


TABLE = [2.0 ** (one / 32.0) for one in range(32)]


def expf(value):
    """Return glibc's `expf`, as its polynomial has it, before it is rounded to single precision."""
    if value != value:
        return value
    if value > 88.72283172607421875:
        return INF
    if value < -103.97207641601562:
        return 0.0
    # Szabolcs Nagy's, of Arm's optimized routines
    scaled = value * 46.16624130844683
    whole = round(scaled)
    rest = scaled - whole
    high = 1.6938359250920212e-06 * rest + 0.00023459809789509004
    low = 0.021660849396613134 * rest + 1.0
    power, place = divmod(whole, 32)
    return (high * (rest * rest) + low) * ldexp(TABLE[place], power)


def sigmoid_single(value):
    raised = array("f", (expf(min(-value, array("f", (88.7,))[0])),))[0]
    return array("f", (1.0 / array("f", (raised + 1.0,))[0],))[0]


def softmax_single(scores):
    most = max(scores)
    raised = array("f", map(expf, array("f", [one - most for one in scores])))
    total = 0.0
    for one in raised:
        total += one
    total = array("f", (total,))[0]
    return array("f", [one / total for one in raised])


def unknown(cell):
    raise ValueError(f"Found unknown category {cell!r} during transform")


def expit(value):
    try:
        return 1.0 / (1.0 + exp(-value))
    except OverflowError:
        return 0.0


def softmax(scores):
    most = max(scores)
    raised = [exp(one - most) for one in scores]
    total = add_up(raised)
    return [one / total for one in raised]


def softmax_in_order(scores):
    most = max(scores)
    raised = [exp(one - most) for one in scores]
    total = 0.0
    for one in raised:
        total += one
    return [one / total for one in raised]


def add_up(numbers):
    """Add as numpy does: eight sums side by side where there are eight."""
    whole = len(numbers) // 8 * 8
    if not whole:
        return sum(numbers[1:], numbers[0])
    sums = numbers[:8]
    for start in range(8, whole, 8):
        sums = [one + other for one, other in zip(sums, numbers[start:start + 8])]
    total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    for one in numbers[whole:]:
        total += one
    return total
'''

Compiler = Callable[[Any, str, Source, Table], Fitted]
# kind → what compiles it, and the precision it works in: single, double, or that of its input
_LAST: Mapping[str, tuple[Compiler, str]] = {
    **dict.fromkeys(forests.TREES | forests.FORESTS, (forests.compile_forest, "single")),
    **dict.fromkeys(boosting.BOOSTED, (boosting.compile_boosted, "single")),
    **dict.fromkeys(boosting.HISTOGRAM, (boosting.compile_histogram, "double")),
    **dict.fromkeys(xgboost.MODELS, (xgboost.compile_xgboost, "single")),
    **dict.fromkeys(lightgbm.MODELS, (lightgbm.compile_lightgbm, "double")),
}


class Compiled(NamedTuple):
    """A compiled model that is not proved yet."""

    document: dict[str, Any]
    """`form.json`."""
    source: str
    """`form.py`."""
    points: Points


def build(model: Any, method: str) -> Compiled:
    """Write a model down; raise NotCompiled, which says why not, where it is of no kind that is known."""
    before, last = _take_apart(model)
    if kind(last) not in _LAST:
        raise NotCompiled(f"no compiler for {kind(last)}")
    widths = [getattr(one, "n_features_in_", None) for one in (model, *before, last)]
    width = next((one for one in widths if one is not None), None)
    if width is None:
        raise NotCompiled(f"{kind(model)} does not tell its number of features")
    points = Points(int(width))
    names = getattr(model, "feature_names_in_", None)
    fitted, text = _write(before, last, method, points, single=False)
    precision = "input" if before else _LAST[kind(last)][1]
    if precision == "input":
        text += _write(before, last, method, Points(int(width)), single=True)[1]
    document = {
        "format": FORMAT,
        "kind": kind(model),
        "method": method,
        "names": None if names is None else [str(name) for name in names],
        "width": int(width),
        "cells": "f32" if precision == "single" else "f64",
        "texts": sorted(points.texts),
        "integers_are_single": points.integers_are_single and not before,
        "takes_empty": kind(last) in xgboost.MODELS and not before,
        "refuses": ["BOOL"] if points.refuses_truth else [],
        "by_name": any(map(_asks_by_name, before)),
        "output": {"datatype": fitted.datatype, "columns": fitted.columns},
    }
    return Compiled(document, _MODULE + text, points)


def _take_apart(model: Any) -> tuple[list[Any], Any]:
    """Return a pipeline's steps before the last, and the last."""
    if kind(model) != "sklearn.Pipeline":
        return [], model
    *before, (_, last) = model.steps
    inner, last = _take_apart(last)
    steps = [step for _, step in before if step is not None and not isinstance(step, str)]
    return steps + inner, last


def _asks_by_name(step: Any) -> bool:
    """Tell whether a step asks for columns by their names, which an array does not have."""
    if kind(step) != "sklearn.ColumnTransformer":
        return False
    return any(
        isinstance(one, str)
        for _, _, columns in step.transformers_
        for one in ([columns] if isinstance(columns, str) else columns if isinstance(columns, list) else [])
    )


def _write(
    before: Sequence[Any], last: Any, method: str, points: Points, *, single: bool
) -> tuple[Fitted, str]:
    """Write the function for cells of one precision."""
    width = len(points.columns)
    source = Source(points, "s" if single else "")
    names = [f"x{index}" for index in range(width)]
    rounded = not before and _LAST[kind(last)][1] == "single"
    table = Table(names, list(range(width)), single=single, rounded=rounded)
    for step in before:
        table = transform(step, source, table)
    fitted = _LAST[kind(last)][0](last, method, source, table)
    lines = [
        *source.module,
        "",
        "",
        f"def predict{'_single' if single else ''}(rows):",
        " out = []",
        " put, put_all = out.append, out.extend",
        f" for {', '.join(names)}, in rows:",
        *("  " + line for line in source.body),
        "  " + fitted.result,
        " return out",
        "",
    ]
    text = "\n".join(lines)
    return fitted, text
