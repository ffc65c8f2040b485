"""LightGBM's models in, a compiled form's statements out."""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime.compile.labels import describe
from lading_runtime.compile.library import RAISED
from lading_runtime.compile.notes import Fitted, NotCompiled, Source, Table, kind, literal
from lading_runtime.compile.trees import Tree, emit, note_points

MODELS = frozenset(f"lightgbm.LGBM{what}" for what in ("Classifier", "Regressor", "Ranker"))
_ZERO = 1.0000000180025095e-35
"""What is no larger is zero to LightGBM."""
_BELOW_ZERO = -1.0000000180025096e-35
"""The next number below those that are zero."""
_AS_IT_IS = {"regression", "regression_l1", "huber", "fair", "quantile", "lambdarank", "rank_xendcg"}
_RAISED = {"poisson", "gamma", "tweedie"}


def compile_lightgbm(model: Any, method: str, source: Source, table: Table) -> Fitted:
    """Compile a model of plain trees; every number is answered, NaN and infinities too."""
    if table.sparse:
        raise NotCompiled("LightGBM of a sparse matrix")
    dump = model.booster_.dump_model()
    if dump["average_output"] or dump.get("pandas_categorical"):
        raise NotCompiled("LightGBM's random forests and categories")
    classes = int(dump["num_tree_per_iteration"])
    sums = [f"s{index}" for index in range(classes)]
    source.begin(" = ".join([*sums, "0.0"]))
    trees = [_read(one, sums[index % classes]) for index, one in enumerate(dump["tree_info"])]
    if any(0 < abs(one) < _ZERO for tree in trees for one in tree.threshold):
        raise NotCompiled("LightGBM's thresholds beside zero")
    note_points(trees, source.points, table.columns)
    source.points.integers_are_single = True
    source.body.append(f"total = {' + '.join(table.cells)}")
    emit(source, trees, table.cells, has_nan="total != total")
    return _finish(model, method, source, sums, str(dump["objective"]).split())


def limit(told: float) -> float:
    """Return a threshold for cells as they come: one at -1e-35 LightGBM has made zero, which is above."""
    return _BELOW_ZERO if told == -_ZERO else told


def _read(info: Mapping[str, Any], target: str) -> Tree:
    """Read a tree that is told as nested objects."""
    nodes: list[Mapping[str, Any]] = [info["tree_structure"]]
    left, right = [], []
    for node in nodes:  # which grows
        if "leaf_value" in node:
            if node.get("leaf_features"):
                raise NotCompiled("LightGBM's linear trees")
            left.append(0)
            right.append(0)
            continue
        if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
            raise NotCompiled("LightGBM's categories and zeros that are missing")
        left.append(len(nodes))
        right.append(len(nodes) + 1)
        nodes += [node["left_child"], node["right_child"]]
    return Tree(
        feature=[int(node.get("split_feature", -1)) for node in nodes],
        threshold=[limit(float(node.get("threshold", 0.0))) for node in nodes],
        left=left,
        right=right,
        missing_left=list(map(_missing_left, nodes)),
        values=[(float(node.get("leaf_value", 0.0)),) for node in nodes],
        targets=[target],
    )


def _missing_left(node: Mapping[str, Any]) -> bool:
    """Tell where NaN goes: it is zero where training has seen none."""
    if node.get("missing_type") == "NaN":
        return bool(node["default_left"])
    return float(node.get("threshold", 0.0)) >= 0.0


def _finish(model: Any, method: str, source: Source, sums: Sequence[str], objective: Sequence[str]) -> Fitted:
    options = dict(one.split(":") for one in objective[1:] if ":" in one)
    if not kind(model).endswith("Classifier"):
        if method == "predict" and objective[0] in _RAISED and source.graph is not None:
            source.module.append(RAISED)
            return Fitted(f"put(raised({sums[0]}))", "FP64", None)
        if method != "predict" or objective[0] not in _AS_IT_IS or "sqrt" in objective:
            raise NotCompiled(f"LightGBM's {' '.join(objective)}, method {method!r}")
        return Fitted(f"put({sums[0]})", "FP64", None)
    if objective[0] == "binary":
        factor = float(options.get("sigmoid", 1.0))
        source.body.append(f"p = expit({literal(factor)} * {sums[0]})")
        source.body.append("p = (1.0 - p, p)")
    elif objective[0] == "multiclass":
        source.body.append(f"p = softmax_in_order(({', '.join(sums)},))")
    else:
        raise NotCompiled(f"LightGBM's objective {objective[0]!r}")
    if method == "predict_proba":
        return Fitted("put_all(p)", "FP64", max(len(sums), 2))
    if method != "predict":
        raise NotCompiled(f"method {method!r}")
    labels, datatype = describe(model.classes_)
    names = source.constant(f"({', '.join(map(literal, labels))},)")
    return Fitted(f"put({names}[p.index(max(p))])", datatype, None)
