"""scikit-learn's trees and forests in, a compiled form's statements out."""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lading_runtime.compile.labels import choose
from lading_runtime.compile.notes import Fitted, NotCompiled, Source, Table, guard, kind
from lading_runtime.compile.trees import Tree, emit, note_points

TREES = frozenset(
    f"sklearn.{name}{what}" for name in ("DecisionTree", "ExtraTree") for what in ("Classifier", "Regressor")
)
FORESTS = frozenset(
    f"sklearn.{name}{what}" for name in ("RandomForest", "ExtraTrees") for what in ("Classifier", "Regressor")
)


def read(estimator: Any, targets: Sequence[str], scale: float | None = None) -> Tree:
    """Read a fitted scikit-learn tree; `scale` is what its leaves are multiplied by."""
    tree = estimator.tree_
    if tree.n_outputs != 1:
        raise NotCompiled(f"{tree.n_outputs} outputs, expected one")
    lefts = tree.children_left.tolist()
    values = tree.value[:, 0, :]
    if kind(estimator).endswith("Classifier"):
        totals = values.sum(axis=1)[:, None]
        if abs(totals - 1).max() > 1e-6:  # before version 1.3 leaves held counts
            values = values / totals
    if scale is not None:
        values = values * scale
    missing = getattr(tree, "missing_go_to_left", None)
    return Tree(
        feature=[f if left >= 0 else -1 for f, left in zip(tree.feature.tolist(), lefts)],  # noqa: B905
        threshold=tree.threshold.tolist(),
        left=lefts,
        right=tree.children_right.tolist(),
        missing_left=[False] * len(lefts) if missing is None else [bool(one) for one in missing.tolist()],
        values=values.tolist(),
        targets=targets,
    )


def compile_forest(model: Any, method: str, source: Source, table: Table) -> Fitted:
    """Compile a tree or a forest."""
    table = single_cells(source, table, takes_nan=takes_nan(model))
    estimators = [model] if kind(model) in TREES else list(model.estimators_)
    is_classifier = kind(model).endswith("Classifier")
    if model.n_outputs_ != 1:
        raise NotCompiled(f"{model.n_outputs_} outputs, expected one")
    sums = [f"s{index}" for index in range(int(model.n_classes_) if is_classifier else 1)]
    source.begin(" = ".join([*sums, "0.0"]))
    trees = [read(one, sums) for one in estimators]
    note_points(trees, source.points, table.columns)
    emit(source, trees, table.cells, has_nan="total != total")
    count = "" if kind(model) in TREES else f" / {len(estimators)}"
    means = [one + count for one in sums]
    if not is_classifier:
        if method != "predict":
            raise NotCompiled(f"method {method!r}")
        return Fitted(f"put({means[0]})", "FP64", None)
    return choose(source, method, model.classes_, means)


def single_cells(source: Source, table: Table, *, takes_nan: bool) -> Table:
    """Round cells to single precision, as trees do first of all, and refuse what is not finite then."""
    if not table.rounded:
        table = table._replace(cells=source.lets(table.cells, single=True))
    guard(source, table, takes_nan=takes_nan, single=True)
    return table


def takes_nan(model: Any) -> bool:
    """Tell whether NaN is an answerable value for a model."""
    tags = model.__sklearn_tags__() if hasattr(model, "__sklearn_tags__") else None
    if tags is not None:
        return bool(tags.input_tags.allow_nan)
    return bool(model._get_tags().get("allow_nan")) if hasattr(model, "_get_tags") else False  # noqa: SLF001
