"""A fitted estimator and its method in, a compiled form's documents and text out."""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lading_runtime.compile import forests
from lading_runtime.compile.notes import Fitted, NotCompiled, Points, Source, Table, kind
from lading_runtime.compiled.form import FORMAT

_MODULE = '''\
"""A compiled model; made by lading, equal to the original as its proof says."""
from array import array
from math import exp, fsum

NAN, INF = float("nan"), float("inf")


def check(cells, takes_nan, dtype):
    for one in cells:
        if one in (INF, -INF):
            raise ValueError(f"Input X contains infinity or a value too large for dtype('{dtype}').")
        if one != one and not takes_nan:
            raise ValueError("Input X contains NaN.")
'''


class Compiled(NamedTuple):
    """A compiled model that is not proved yet."""

    document: dict[str, Any]
    """`form.json`."""
    source: str
    """`form.py`."""
    points: Points


class _Written(NamedTuple):
    source: Source
    fitted: Fitted
    width: int


def build(model: Any, method: str) -> Compiled:
    """Write a model down; raise NotCompiled, which says why not, where it is of no kind that is known."""
    width = getattr(model, "n_features_in_", None)
    if width is None:
        raise NotCompiled(f"{kind(model)} does not tell its number of features")
    names = getattr(model, "feature_names_in_", None)
    points = Points(int(width))
    written = _write(model, method, points, single=False)
    document = {
        "format": FORMAT,
        "kind": kind(model),
        "method": method,
        "names": None if names is None else [str(name) for name in names],
        "width": int(width),
        "cells": "f32",
        "output": {"datatype": written.fitted.datatype, "columns": written.fitted.columns},
    }
    return Compiled(document, _MODULE + _text("predict", written), points)


def _write(model: Any, method: str, points: Points, *, single: bool) -> _Written:
    width = len(points.columns)
    source = Source(points, single=single)
    cells: list[str] = [f"x{index}" for index in range(width)]
    columns: list[int | None] = list(range(width))
    if kind(model) in forests.TREES | forests.FORESTS:
        _guard(source, cells, takes_nan=forests.takes_nan(model), dtype="float32")
        return _Written(source, forests.compile_forest(model, method, source, Table(cells, columns)), width)
    raise NotCompiled(f"no compiler for {kind(model)}")


def _guard(source: Source, cells: Sequence[str], *, takes_nan: bool, dtype: str) -> None:
    """Refuse what is not finite; a sum, which is quick, tells whether to look closer."""
    source.body += [
        f"total = {' + '.join(cells)}",
        f"if total - total != 0.0: check(({', '.join(cells)},), {takes_nan}, {dtype!r})",
    ]


def _text(name: str, written: _Written) -> str:
    source = written.source
    lines = [
        *source.module,
        "",
        "",
        f"def {name}(rows):",
        " out = []",
        " put, put_all = out.append, out.extend",
        f" for {', '.join(f'x{index}' for index in range(written.width))}, in rows:",
        *("  " + line for line in source.body),
        "  " + written.fitted.result,
        " return out",
        "",
    ]
    return "\n".join(lines)
