"""scikit-learn's linear models in, a compiled form's statements out.

OpenBLAS adds products with fused multiplications, in one order for a row alone and in others for several,
so the original itself answers a row in ways that differ in the last bit. The orders are written down, for as
many columns as they are known; a label does not need them unless two scores are nearly equal.
"""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lading_runtime.compile.labels import describe
from lading_runtime.compile.notes import Fitted, NotCompiled, Source, Table, guard, kind, literal

_REGRESSORS = (
    *(
        "LinearRegression",
        "Ridge",
        "RidgeCV",
        "Lasso",
        "LassoCV",
        "ElasticNet",
        "ElasticNetCV",
        "Lars",
        "LarsCV",
    ),
    *("LassoLars", "LassoLarsCV", "LassoLarsIC", "SGDRegressor", "HuberRegressor", "BayesianRidge"),
    *("ARDRegression", "LinearSVR", "TheilSenRegressor", "OrthogonalMatchingPursuit", "QuantileRegressor"),
    "PassiveAggressiveRegressor",
)
_CLASSIFIERS = (
    *("LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "Perceptron", "LinearSVC"),
    *("PassiveAggressiveClassifier", "RidgeClassifier", "RidgeClassifierCV", "LinearDiscriminantAnalysis"),
)
MODELS = frozenset(f"sklearn.{name}" for name in (*_REGRESSORS, *_CLASSIFIERS))
# as many columns as the two orders are known for: of one vector of weights, and of several
_MAX_COLUMNS = (15, 31)
_EPSILON = 2.0**-52


def compile_linear(model: Any, method: str, source: Source, table: Table) -> Fitted:
    """Compile a linear model of double precision."""
    matrix = model.coef_
    if matrix.dtype.name != "float64":
        raise NotCompiled(f"coefficients of {matrix.dtype.name}")
    rows = matrix.tolist() if matrix.ndim == 2 else [matrix.tolist()]
    bias = getattr(model.intercept_, "tolist", lambda: float(model.intercept_))()
    biases = bias * (len(rows) // len(bias)) if isinstance(bias, list) else [bias] * len(rows)
    weights = Weights(rows, biases, bool(matrix.flags.c_contiguous))
    guard(source, table, takes_nan=False, single=False)
    take_turns(source, table, weights)
    is_classifier = kind(model).rpartition(".")[2] in _CLASSIFIERS
    if not is_classifier:
        if len(rows) > 1 or method != "predict":
            raise NotCompiled(f"{len(rows)} outputs, method {method!r}")
        return Fitted(f"put({written_scores(source, table, weights)[0]})", "FP64", None)
    if method == "predict":
        return _label(model, source, table, weights)
    scores = written_scores(source, table, weights)
    width = None if len(scores) == 1 else len(scores)
    if method == "decision_function":
        return Fitted(f"put_all(({', '.join(scores)},))", "FP64", width)
    if method != "predict_proba":
        raise NotCompiled(f"method {method!r}")
    if width is None:
        source.body.append(f"p = expit({scores[0]})")
        return Fitted("put_all((1.0 - p, p))", "FP64", 2)
    return Fitted(f"put_all(softmax(({', '.join(scores)},)))", "FP64", width)


class Weights(NamedTuple):
    """What a linear model has learnt."""

    rows: Sequence[Sequence[float]]
    biases: Sequence[float]
    by_rows: bool
    """Whether they lie in memory row by row."""


def take_turns(source: Source, table: Table, weights: Weights) -> None:
    """Have each row added in the order that is its own among several."""
    if len(weights.rows) == 1 and not table.sparse:
        # what is no double is copied, row by row
        follows = table.follows and not table.single
        kept = '("columns",)' if table.raw else '("columns", "integers")'
        by_columns = f"{follows} and layout in {kept}"
        source.before = [f"order = iter([dot] if alone else turns(len(rows), {by_columns}))"]
        source.body.append("turn = next(order)")


def _sum(cells: Sequence[str], weights: Sequence[float], bias: float) -> str:
    """Write a sum in order, without care for how it is rounded."""
    products = [f"{cell} * {literal(one)}" for cell, one in zip(cells, weights)]  # noqa: B905
    return f"{' + '.join(products)} + {literal(bias)}"


def written_scores(source: Source, table: Table, weights: Weights, *, bound: bool = True) -> list[str]:
    """Write the scores as the original rounds them."""
    rows, biases = weights.rows, weights.biases
    if table.sparse:  # which are multiplied one by one
        return [source.let(_sum(table.cells, one, bias)) for one, bias in zip(rows, biases)]  # noqa: B905
    several = len(rows) > 1
    if bound and len(table.cells) > _MAX_COLUMNS[several]:
        raise NotCompiled(
            f"{len(table.cells)} columns, more than {_MAX_COLUMNS[several]}: "
            "the order in which BLAS adds so many is its own affair"
        )
    row = source.let(f"({', '.join(table.cells)},)", "row")
    split = f" if alone else halves({row})" if several else ""
    source.body.append(f"{row} = ({row}, None, None){split}")
    names = [source.constant(f"halves(({', '.join(map(literal, one))},))") for one in rows]
    count = len(rows)
    if weights.by_rows:
        orders = ["dot_fused_fours"] * (count & ~3) + ["dot_twos"] * (count & 2) + ["dot_fours"] * (count & 1)
    elif count < 4:
        orders = ["dot_pairs"] * count
    else:
        orders = ["dot_groups"] * (count & ~3) + ["dot"] * (count & 3)
    calls = [f"({one} if alone else dot)" for one in orders] if several else ["turn"]
    return [
        source.let(f"{call}({row}, {name}) + {literal(bias)}")
        for call, name, bias in zip(calls, names, biases)  # noqa: B905
    ]


def _label(model: Any, source: Source, table: Table, weights: Weights) -> Fitted:
    """Write a quick sum, and how far it may be off; only what is nearer to a tie is added as BLAS does."""
    rows, biases = weights.rows, weights.biases
    labels, datatype = describe(model.classes_)
    note_ties(source, table, rows, biases)
    largest = source.let(f"max({', '.join(f'abs({cell})' for cell in table.cells)}, 0.0)")
    most = max(sum(map(abs, one)) for one in rows)
    slack = 4 * (len(table.cells) + 4) * _EPSILON
    # infinite where a part of the sum may overflow
    far = slack * max(map(abs, biases)) + 1e-300
    gap = source.let(f"{largest} * {most!r} * {slack!r} + {far!r}")
    quick = [source.let(_sum(table.cells, one, bias)) for one, bias in zip(rows, biases)]  # noqa: B905
    start = len(source.body)
    exact = written_scores(source, table, weights, bound=False)
    slow = source.body[start:]
    del source.body[start:]
    if len(rows) == 1:
        first, second = map(literal, labels)
        source.body += [f"if not abs({quick[0]}) > {gap}:", *(" " + line for line in slow)]
        source.body.append(f" {quick[0]} = {exact[0]}")
        return Fitted(f"put({second} if {quick[0]} > 0.0 else {first})", datatype, None)
    source.body += [
        f"p = [{', '.join(quick)}]",
        "most = max(p)",
        "place = p.index(most)",
        "p[place] = -INF if most == most and most - most == 0.0 else NAN",
        f"if not most - max(p) > {gap}:",
        *(" " + line for line in slow),
        f" p = [{', '.join(exact)}]",
        " place = highest(p)",
    ]
    names = source.constant(f"({', '.join(map(literal, labels))},)")
    return Fitted(f"put({names}[place])", datatype, None)


def note_ties(source: Source, table: Table, rows: Sequence[Sequence[float]], biases: Sequence[float]) -> None:
    """Tell the proof where, along each column, a score turns."""
    for place, column in enumerate(table.columns):
        if column is not None:
            turns = [-bias / one[place] for one, bias in zip(rows, biases) if one[place]]  # noqa: B905
            source.points.add(column, turns)
