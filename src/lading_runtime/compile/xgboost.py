"""XGBoost's models in, a compiled form's statements out.

XGBoost adds leaves in single precision, one tree after another, and so does the form.
"""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime.compile.labels import describe
from lading_runtime.compile.library import RAISED
from lading_runtime.compile.notes import Fitted, NotCompiled, Source, Table, kind, literal
from lading_runtime.compile.trees import SINGLE_MAX, Tree, below_single, emit, note_points

MODELS = frozenset(
    f"xgboost.{name}{what}" for name in ("XGB", "XGBRF") for what in ("Classifier", "Regressor")
) | {"xgboost.XGBRanker"}
_AS_IT_IS = {
    "reg:squarederror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:quantileerror",
    "reg:linear",
}
_RAISED = {"count:poisson", "reg:gamma", "reg:tweedie"}


def compile_xgboost(model: Any, method: str, source: Source, table: Table) -> Fitted:
    """Compile a model of trees; linear and dart boosters are not."""
    if table.sparse:
        raise NotCompiled("XGBoost of a sparse matrix")
    if model.missing == model.missing:
        raise NotCompiled(f"missing values that are {model.missing!r}")
    booster = model.get_booster()
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    gradient = learner["gradient_booster"]
    if gradient["name"] != "gbtree":
        raise NotCompiled(f"XGBoost's booster {gradient['name']!r}")
    if not table.rounded:
        table = table._replace(cells=source.lets(table.cells, single=True))
    objective = learner["objective"]["name"]
    classes = max(int(learner["learner_model_param"]["num_class"]), 1)
    is_raised = objective in _RAISED and source.graph is not None
    base = _margins(learner["learner_model_param"]["base_score"], objective, classes, is_raised=is_raised)
    if source.graph is None:
        sums = [f"s{place}" for place in range(classes)]
        source.begin(*(f"{one} = {literal(value)}" for one, value in zip(sums, base)))  # noqa: B905
    else:  # what a graph adds up is rounded once
        sums = [f"a[{place}]" for place in range(classes)]
        source.begin(f"a = array('f', ({', '.join(map(literal, base))},))")
    trees = [
        _read(tree, sums[place])
        for tree, place in zip(_used(model, gradient["model"]), gradient["model"]["tree_info"])  # noqa: B905
    ]
    if sum(map(_largest, trees)) + max(map(abs, base)) > SINGLE_MAX:
        raise NotCompiled("XGBoost's leaves are too large to be added up")
    note_points(trees, source.points, table.columns)
    source.body.append(f"total = {' + '.join(table.cells)}")
    emit(source, trees, table.cells, has_nan="total != total")
    return _finish(model, method, source, objective, sums)


def _used(model: Any, trees: Mapping[str, Any]) -> Sequence[Any]:
    """Return the trees up to the best iteration, where training stopped early."""
    _, end = model._get_iteration_range(None)  # noqa: SLF001
    bounds = trees["iteration_indptr"]
    used: Sequence[Any] = trees["trees"][: bounds[end]] if end else trees["trees"]
    return used


def _margins(text: Any, objective: str, classes: int, *, is_raised: bool) -> list[float]:
    """Return where the sums begin, in the objective's own scale."""
    numbers = [float(one) for one in str(text).strip("[]").split(",")]
    numbers = array("f", numbers if len(numbers) == classes else numbers * classes).tolist()
    if objective in {"binary:logistic", "reg:logistic"}:
        turned = array("f", [array("f", [1.0 / one])[0] - 1.0 for one in numbers])
        return array("f", [-math.log(one) for one in turned]).tolist()
    if is_raised:
        return array("f", map(math.log, numbers)).tolist()
    if objective not in _AS_IT_IS and not objective.startswith(("multi:", "rank:", "binary:")):
        raise NotCompiled(f"XGBoost's objective {objective!r}")
    return numbers


def _read(tree: Mapping[str, Any], target: str) -> Tree:
    if any(tree.get("split_type") or ()) or tree["tree_param"]["size_leaf_vector"] not in {"0", "1"}:
        raise NotCompiled("XGBoost's trees with categories or several outputs")
    conditions = array("f", tree["split_conditions"]).tolist()
    left = tree["left_children"]
    return Tree(
        feature=[one if child >= 0 else -1 for one, child in zip(tree["split_indices"], left)],  # noqa: B905
        # XGBoost goes left below the threshold, which is at most the number before it
        threshold=[below_single(one) for one in conditions],
        left=left,
        right=tree["right_children"],
        missing_left=[bool(one) for one in tree["default_left"]],
        values=[(one,) for one in conditions],
        targets=[target],
        single=True,
    )


def _largest(tree: Tree) -> float:
    """Return the largest number that a tree may add."""
    return max(abs(leaf) for feature, (leaf,) in zip(tree.feature, tree.values) if feature < 0)  # noqa: B905


def _finish(model: Any, method: str, source: Source, objective: str, sums: Sequence[str]) -> Fitted:
    classes = len(sums)
    if not kind(model).endswith("Classifier"):
        if method != "predict":
            raise NotCompiled(f"method {method!r}")
        result = f"sigmoid_single({sums[0]})" if objective == "reg:logistic" else sums[0]
        if objective in _RAISED:
            source.module.append(RAISED)
            result = f"raised({sums[0]})"
        return Fitted(f"put({result})", "FP32", None)
    if (classes == 1 and objective != "binary:logistic") or (classes > 1 and objective != "multi:softprob"):
        raise NotCompiled(f"a classifier's objective {objective!r}")
    several = f"p = softmax_single(({', '.join(sums)},))"
    source.body.append(several if classes > 1 else f"p = sigmoid_single({sums[0]})")
    if method == "predict_proba":
        result = "put_all(p)" if classes > 1 else "put_all((1.0 - p, p))"
        return Fitted(result, "FP32", max(classes, 2))
    if method != "predict":
        raise NotCompiled(f"method {method!r}")
    labels, datatype = describe(model.classes_)
    names = source.constant(f"({', '.join(map(literal, labels))},)")
    choice = "p.index(max(p))" if classes > 1 else "p > 0.5"
    return Fitted(f"put({names}[{choice}])", datatype, None)
