"""scikit-learn's gradient boosting in, a compiled form's statements out."""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lading_runtime.compile.forests import read, single_cells
from lading_runtime.compile.labels import choose, describe
from lading_runtime.compile.library import RAISED
from lading_runtime.compile.notes import Fitted, NotCompiled, Source, Table, kind, literal
from lading_runtime.compile.trees import Tree, emit, note_points

BOOSTED = frozenset(f"sklearn.GradientBoosting{what}" for what in ("Classifier", "Regressor"))
HISTOGRAM = frozenset(f"sklearn.HistGradientBoosting{what}" for what in ("Classifier", "Regressor"))


def compile_boosted(model: Any, method: str, source: Source, table: Table) -> Fitted:
    """Compile a GradientBoosting model: trees of single precision, scaled by the learning rate."""
    table = single_cells(source, table, takes_nan=False)
    stages = model.estimators_.tolist()
    sums = [f"s{index}" for index in range(len(stages[0]))]
    if model.init_ != "zero" and not kind(model.init_).startswith("sklearn.Dummy"):
        raise NotCompiled(f"gradient boosting that starts with {kind(model.init_)}")
    start = model._raw_predict_init([[0.0] * len(table.cells)]).tolist()[0]  # noqa: SLF001
    source.begin(*(f"{one} = {literal(value)}" for one, value in zip(sums, start)))  # noqa: B905
    trees = [
        read(one, [sums[place]], scale=model.learning_rate)
        for stage in stages
        for place, one in enumerate(stage)
    ]
    note_points(trees, source.points, table.columns)
    emit(source, trees, table.cells, has_nan=None)
    return _finish(model, method, source, sums, is_strict=False)


def compile_histogram(model: Any, method: str, source: Source, table: Table) -> Fitted:
    """Compile a HistGradientBoosting model, which takes every number there is."""
    if getattr(model, "_preprocessor", None) is not None:
        raise NotCompiled("gradient boosting with categorical columns")
    if table.sparse:
        raise NotCompiled("gradient boosting of a sparse matrix")
    start = model._baseline_prediction.ravel().tolist()  # noqa: SLF001
    sums = [f"s{index}" for index in range(model.n_trees_per_iteration_)]
    source.begin(*(f"{one} = {literal(value)}" for one, value in zip(sums, start)))  # noqa: B905
    trees = [
        _read_histogram(predictor.nodes, sums[place])
        for iteration in model._predictors  # noqa: SLF001
        for place, predictor in enumerate(iteration)
    ]
    note_points(trees, source.points, table.columns)
    source.body.append(f"total = {' + '.join(table.cells)}")
    emit(source, trees, table.cells, has_nan="total != total")
    return _finish(model, method, source, sums, is_strict=True)


def _read_histogram(nodes: Any, target: str) -> Tree:
    if "is_categorical" in nodes.dtype.names and nodes["is_categorical"].any():
        raise NotCompiled("gradient boosting with categorical columns")
    leaf = nodes["is_leaf"].tolist()
    features = nodes["feature_idx"].tolist()
    return Tree(
        feature=[-1 if is_leaf else feature for is_leaf, feature in zip(leaf, features)],  # noqa: B905
        threshold=nodes["num_threshold" if "num_threshold" in nodes.dtype.names else "threshold"].tolist(),
        left=nodes["left"].tolist(),
        right=nodes["right"].tolist(),
        missing_left=[bool(one) for one in nodes["missing_go_to_left"].tolist()],
        values=[(value,) for value in nodes["value"].tolist()],
        targets=[target],
    )


def _finish(model: Any, method: str, source: Source, sums: Sequence[str], *, is_strict: bool) -> Fitted:
    """Turn raw scores into what the method gives."""
    loss = type(model._loss).__name__  # noqa: SLF001
    if kind(model).endswith("Regressor"):
        if method != "predict":
            raise NotCompiled(f"method {method!r}")
        is_raised = loss in {"HalfPoissonLoss", "HalfGammaLoss", "PoissonLoss", "GammaLoss"}
        if is_raised and source.graph is None:
            raise NotCompiled(f"the exponential of a {loss}")
        if is_raised:
            source.module.append(RAISED)
        return Fitted(f"put(raised({sums[0]}))" if is_raised else f"put({sums[0]})", "FP64", None)
    if method == "decision_function":
        return Fitted(f"put_all(({', '.join(sums)},))", "FP64", None if len(sums) == 1 else len(sums))
    if method == "predict_proba" and len(sums) > 1:
        return Fitted(f"put_all(softmax(({', '.join(sums)},)))", "FP64", len(sums))
    if method == "predict_proba":
        factor = "2.0 * " if loss == "ExponentialLoss" else ""
        source.body.append(f"p = expit({factor}{sums[0]})")
        return Fitted("put_all((1.0 - p, p))", "FP64", 2)
    if len(sums) > 1:
        return choose(source, method, model.classes_, sums)
    labels, datatype = describe(model.classes_)
    first, second = map(literal, labels)
    sign = ">" if is_strict else ">="
    return Fitted(f"put({second} if {sums[0]} {sign} 0.0 else {first})", datatype, None)
