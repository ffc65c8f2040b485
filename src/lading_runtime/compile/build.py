"""A fitted estimator and its method in, a compiled form's documents and text out."""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple  # noqa: UP035 - `Compiler` is evaluated under Python 3.8

from lading_runtime.compile import boosting, convert, forests, lightgbm, linear, treelite, xgboost
from lading_runtime.compile.graphs import Graph
from lading_runtime.compile.library import MODULE
from lading_runtime.compile.notes import Fitted, NotCompiled, Points, Source, Table, kind
from lading_runtime.compile.steps import transform
from lading_runtime.compile.vetting import vet
from lading_runtime.compiled.form import FORMAT
from lading_runtime.worker.inputs import has_pandas

Compiler = Callable[[Any, str, Source, Table], Fitted]
# kind → what compiles it, and the precision it works in: single, double, or that of its input
_EXACT: Mapping[str, tuple[Compiler, str]] = {
    **dict.fromkeys(forests.TREES | forests.FORESTS, (forests.compile_forest, "single")),
    **dict.fromkeys(boosting.BOOSTED, (boosting.compile_boosted, "single")),
    **dict.fromkeys(boosting.HISTOGRAM, (boosting.compile_histogram, "double")),
    **dict.fromkeys(linear.MODELS, (linear.compile_linear, "input")),
    **dict.fromkeys(xgboost.MODELS, (xgboost.compile_xgboost, "single")),
    **dict.fromkeys(lightgbm.MODELS, (lightgbm.compile_lightgbm, "double")),
}
WAYS: Mapping[str, Mapping[str, tuple[Compiler, str]]] = {
    "auto": _EXACT,
    "treelite": {
        **dict.fromkeys(treelite.SINGLE, (treelite.compile_treelite, "single")),
        **dict.fromkeys(treelite.DOUBLE, (treelite.compile_treelite, "double")),
    },
    # what has trees is read as ever, and added up by the graph
    "onnx": {**_EXACT, **dict.fromkeys(linear.MODELS, (convert.compile_linear, "input"))},
}
_ANY: tuple[Compiler, str] = (convert.compile_any, "input")


_OF_FRAMES = xgboost.MODELS | lightgbm.MODELS
"""What takes no DataFrame with columns of objects."""


class Compiled(NamedTuple):
    """A compiled model that is not proved yet."""

    document: dict[str, Any]
    """`form.json`."""
    source: str
    """`form.py`."""
    points: Points
    model: bytes = b""
    """`model.onnx`, where there is one."""


def build(model: Any, method: str, way: str = "auto", *, frames: bool | None = None) -> Compiled:
    """Write a model down; raise NotCompiled, which says why not, where it is of no kind that is known.

    `frames` says whether a request by columns is a DataFrame to it; None: where it knows their names.
    """
    vet(model, method)
    before, last = _take_apart(model)
    graph = Graph(method) if way == "onnx" else None
    if graph is not None:
        before, last = _known(model, before, last)
    elif kind(last) not in WAYS[way]:
        raise NotCompiled(f"no compiler for {kind(last)}")
    end = WAYS[way].get(kind(last), _ANY)
    widths = [getattr(one, "n_features_in_", None) for one in (model, *before, last)]
    width = next((one for one in widths if one is not None), None)
    if width is None:
        raise NotCompiled(f"{kind(model)} does not tell its number of features")
    points = Points(int(width))
    names = getattr(model, "feature_names_in_", None)
    frames = names is not None and has_pandas() if frames is None else frames
    points.ignored = _ignored(before, len(points.columns))
    fitted, text = _write(before, last, end, method, points, graph=graph)
    precision = "input" if before else end[1]
    if precision == "input":
        text += _write(before, last, end, method, Points(int(width)), single=True, graph=graph)[1]
    document = {
        "format": FORMAT,
        "kind": kind(model),
        "method": method,
        "names": None if names is None else [str(name) for name in names],
        "width": int(width),
        "cells": "f32" if precision == "single" else "f64",
        "texts": sorted(points.texts),
        "ignored": sorted(points.ignored),
        # a column of text with gaps holds NaN since pandas 3
        "gaps_are_nan": int(getattr(sys.modules.get("pandas"), "__version__", "0").split(".")[0]) >= 3,
        "integers_are_single": points.integers_are_single and not before,
        "takes_empty": kind(last) in xgboost.MODELS and not before,
        "refuses": ["BOOL"] if points.refuses_truth else [],
        "frames": frames,
        "filled": sorted(points.filled),
        "refuses_objects": kind(last) in _OF_FRAMES and not before and frames,
        "by_name": any(map(_asks_by_name, before)),
        "output": {"datatype": fitted.datatype, "columns": fitted.columns},
    }
    if graph is None:
        return Compiled(document, MODULE + text, points)
    return Compiled(document, MODULE + graph.text + text, points, graph.data)


def _take_apart(model: Any) -> tuple[list[Any], Any]:
    """Return a pipeline's steps before the last, and the last."""
    if kind(model) != "sklearn.Pipeline":
        return [], model
    *before, (_, last) = model.steps
    inner, last = _take_apart(last)
    steps = [step for _, step in before if step is not None and not isinstance(step, str)]
    return steps + inner, last


def _known(model: Any, before: list[Any], last: Any) -> tuple[list[Any], Any]:
    """Return the first steps as far as statements are known for them; the rest is a pipeline for ONNX."""
    width = int(getattr(model, "n_features_in_", 0))
    source, table = Source(Points(width)), Table([f"x{i}" for i in range(width)], range(width))
    for place, step in enumerate(before):
        try:
            table = transform(step, source, table)
        except NotCompiled:
            from sklearn.pipeline import make_pipeline  # type: ignore[import-not-found,import-untyped,unused-ignore]

            return before[:place], make_pipeline(*before[place:], last)
    return before, last


def _ignored(before: Sequence[Any], width: int) -> set[int]:
    """Return the columns that a first step drops unseen, whatever they hold."""
    if not before or kind(before[0]) != "sklearn.ColumnTransformer":
        return set()
    first = before[0]
    used = {
        index
        for name, one, _ in first.transformers_
        if not (isinstance(one, str) and one == "drop")
        for index in first._transformer_to_input_indices[name]  # noqa: SLF001
    }
    return set(range(width)) - used


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
    before: Sequence[Any],
    last: Any,
    end: tuple[Compiler, str],
    method: str,
    points: Points,
    *,
    single: bool = False,
    graph: Graph | None = None,
) -> tuple[Fitted, str]:
    """Write the function for cells of one precision."""
    width = len(points.columns)
    source = Source(points, "s" if single else "")
    source.graph = graph
    names = [f"x{index}" for index in range(width)]
    rounded = not before and end[1] == "single"
    table = Table(names, list(range(width)), single=single, rounded=rounded, raw=not before)
    for step in before:
        table = transform(step, source, table)
    fitted = end[0](last, method, source, table)
    is_linear = kind(last) in linear.MODELS
    through = [f" for {', '.join(names)}, in rows:"]
    if source.first:
        answers = "zip(rows_asked, ask(rows_asked))"
        first = [*through, *("  " + line for line in source.first)]
        through = [
            " rows_asked = []",
            " gather = rows_asked.append",
            *first,
            f" for ({', '.join(source.asked)},), t in {answers}:",
        ]
    lines = [
        *source.module,
        "",
        "",
        f"def predict{'_single' if single else ''}(rows, layout='rows'):",
        " out = []",
        " put, put_all = out.append, out.extend",
        *([" rows = list(rows)", " alone = len(rows) == 1"] if is_linear else []),
        *(" " + line for line in source.before),
        *through,
        *("  " + line for line in source.body),
        "  " + fitted.result,
        " return out",
        "",
    ]
    text = "\n".join(lines)
    return fitted, text
