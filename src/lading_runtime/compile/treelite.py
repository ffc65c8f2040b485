"""Tree ensembles that treelite knows in, a compiled form's statements out.

treelite brings them all to one model: trees, what their leaves add to, and what becomes of the sums. It reads
more kinds than are read here bit for bit; the sums are in its own order and functions, so the form is held
to the original within a tolerance.
"""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime.compile import boosting, forests, lightgbm, xgboost
from lading_runtime.compile.labels import choose, describe
from lading_runtime.compile.library import RAISED
from lading_runtime.compile.notes import Fitted, NotCompiled, Source, Table, kind, literal
from lading_runtime.compile.trees import Tree, below_single, emit, note_points

_ISOLATION = "sklearn.IsolationForest"
SINGLE = forests.FORESTS | boosting.BOOSTED | xgboost.MODELS | {_ISOLATION}
DOUBLE = boosting.HISTOGRAM | lightgbm.MODELS
_SCORED = boosting.BOOSTED | boosting.HISTOGRAM
"""What decides by raw scores."""
_HELPERS = "from math import copysign, log1p\n\n\n" + RAISED


def compile_treelite(model: Any, method: str, source: Source, table: Table) -> Fitted:
    """Compile an ensemble as treelite tells it."""
    if table.sparse:
        raise NotCompiled("treelite's trees of a sparse matrix")
    told = _tell(model)
    if told["num_target"] != 1:
        raise NotCompiled(f"{told['num_target']} outputs, expected one")
    table = _cells(model, source, table)
    is_single = told["leaf_output_type"] == "float32"
    classes = int(told["num_class"][0])
    sums = [f"a[{index}]" if is_single else f"s{index}" for index in range(classes)]
    bases = [float(one) for one in told["base_scores"]]
    averages = bool(told["average_tree_output"])
    start = [0.0] * classes if averages else bases
    if is_single:
        source.body.append(f"a = array('f', ({', '.join(map(literal, start))},))")
    else:
        source.body += [f"{one} = {literal(value)}" for one, value in zip(sums, start)]  # noqa: B905
    table = _whole(model, source, table, told["trees"])
    trees = [
        _read(tree, sums if place < 0 else [sums[place]])
        for tree, place in zip(told["trees"], told["class_id"])  # noqa: B905
    ]
    note_points(trees, source.points, table.columns)
    emit(source, trees, table.cells, has_nan="total != total")
    if averages:
        for one, base in zip(sums, bases):  # noqa: B905
            count = sum(one in tree.targets for tree in trees)
            source.body.append(f"{one} = {one} / {count} + {literal(base)}")
    return _finish(model, method, source, sums, told)


def _tell(model: Any) -> dict[str, Any]:
    """Have treelite read a model, up to the tree where training stopped early."""
    try:
        import treelite  # type: ignore[import-not-found,import-untyped,unused-ignore]
        import treelite.sklearn  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise NotCompiled(f"treelite is not there: {error}") from error
    try:
        if kind(model) in xgboost.MODELS:
            booster = model.get_booster()
            _, end = model._get_iteration_range(None)  # noqa: SLF001
            read = treelite.frontend.from_xgboost(booster[:end] if end else booster)
        elif kind(model) in lightgbm.MODELS:
            read = treelite.frontend.from_lightgbm(model.booster_)
        else:
            read = treelite.sklearn.import_model(model)
    except Exception as error:
        raise NotCompiled(f"treelite {treelite.__version__} does not read it: {error}"[:500]) from error
    # what is infinite is left out
    told: dict[str, Any] = json.loads(
        read.dump_as_json(pretty_print=False).replace('"threshold":,', '"threshold":null,')
    )
    for number, tree in enumerate(told["trees"]):
        if any("threshold" in node and node["threshold"] is None for node in tree["nodes"]):
            limits = read.get_tree_accessor(number).get_field("threshold").tolist()
            for node in tree["nodes"]:
                node["threshold"] = limits[node["node_id"]]
    _mend(model, told)
    return told


def _mend(model: Any, told: dict[str, Any]) -> None:
    """Say what treelite does not: LightGBM's zeros; scikit-learn's links and, before 4.8, where NaN goes."""
    if kind(model) in lightgbm.MODELS:
        for node in (node for tree in told["trees"] for node in tree["nodes"] if "threshold" in node):
            node["threshold"] = lightgbm.limit(float(node["threshold"]))
    loss = type(getattr(model, "_loss", None)).__name__
    if kind(model) in boosting.BOOSTED and loss == "ExponentialLoss":
        told["sigmoid_alpha"] = 2.0
    if kind(model) in boosting.HISTOGRAM and loss in {"HalfPoissonLoss", "HalfGammaLoss"}:
        told["postprocessor"] = "exponential"
    if kind(model) not in forests.FORESTS:
        return
    for tree, one in zip(told["trees"], model.estimators_):  # noqa: B905
        missing: Any = getattr(one.tree_, "missing_go_to_left", ())
        lefts = one.tree_.children_left.tolist()
        for node in tree["nodes"] if len(missing) else ():
            if lefts[node["node_id"]] == node.get("left_child"):
                node["default_left"] = bool(missing[node["node_id"]])


def _cells(model: Any, source: Source, table: Table) -> Table:
    """Round cells and refuse some, as the original does."""
    name = kind(model)
    if name in forests.FORESTS | boosting.BOOSTED or (name == _ISOLATION and not forests.takes_nan(model)):
        return forests.single_cells(source, table, takes_nan=forests.takes_nan(model))
    if name in xgboost.MODELS and model.missing == model.missing:
        raise NotCompiled(f"missing values that are {model.missing!r}")
    if name in SINGLE and not table.rounded:
        table = table._replace(cells=source.lets(table.cells, single=True))
    source.points.integers_are_single = name in lightgbm.MODELS
    source.body.append(f"total = {' + '.join(table.cells)}")
    return table


def _whole(model: Any, source: Source, table: Table, trees: Sequence[Mapping[str, Any]]) -> Table:
    """Cut the cells of categories to whole numbers, as LightGBM does; what is none belongs to no category."""
    asked = {
        node["split_feature_id"]
        for tree in trees
        for node in tree["nodes"]
        if node.get("node_type") == "categorical_test_node"
    }
    if asked and kind(model) not in lightgbm.MODELS:
        raise NotCompiled(f"categories of {kind(model)}")
    cells = list(table.cells)
    for feature in sorted(asked):
        cell = cells[feature]
        cells[feature] = source.let(f"int({cell}) if -1.0 < {cell} < 2147483648.0 else -1")
    return table._replace(cells=cells)


def _read(tree: Mapping[str, Any], targets: Sequence[str]) -> Tree:
    nodes = tree["nodes"]
    if {node.get("comparison_op", "<=") for node in nodes} - {"<", "<="}:
        raise NotCompiled("treelite's trees that ask for more than less")
    place = {node["node_id"]: index for index, node in enumerate(nodes)}
    values = [node.get("leaf_value", 0.0) for node in nodes]
    first, second = zip(*map(_children, nodes))  # noqa: B905
    members = [node.get("category_list") for node in nodes]
    return Tree(
        feature=[node.get("split_feature_id", -1) for node in nodes],
        threshold=list(map(_threshold, nodes)),
        left=[place[one] for one in first],
        right=[place[one] for one in second],
        missing_left=[bool(node.get("default_left")) for node in nodes],
        values=[value if isinstance(value, list) else [value] for value in values],
        targets=targets,
        members=members if any(one is not None for one in members) else None,
    )


def _children(node: Mapping[str, Any]) -> tuple[int, int]:
    """Return where a node leads, itself for a leaf."""
    children = node.get("left_child", node["node_id"]), node.get("right_child", node["node_id"])
    return children[::-1] if node.get("category_list_right_child") else children


def _threshold(node: Mapping[str, Any]) -> float:
    limit = float(node.get("threshold", 0.0))
    # XGBoost's alone is `<`, and of single precision
    return below_single(limit) if node.get("comparison_op") == "<" else limit


def _outputs(source: Source, sums: Sequence[str], told: Mapping[str, Any]) -> list[str]:
    """Write what becomes of the sums."""
    name, alpha = told["postprocessor"], literal(float(told["sigmoid_alpha"]))
    is_single = told["leaf_output_type"] == "float32"
    if name in {"identity", "identity_multiclass"}:
        return list(sums)
    if name == "softmax":
        row = f"softmax_single({sums[0][:1]})" if is_single else f"softmax_in_order(({', '.join(sums)},))"
        whole = source.let(row, "p")
        return [f"{whole}[{index}]" for index in range(len(sums))]
    source.module.append(_HELPERS)
    ways = {
        "sigmoid": "sigmoid_single({0})" if is_single and alpha == "1.0" else f"expit({alpha} * {{0}})",
        "multiclass_ova": f"expit({alpha} * {{0}})",
        "exponential": "raised({0})",
        "exponential_standard_ratio": f"2.0 ** (-{{0}} / {literal(float(told['ratio_c']))})",
        "logarithm_one_plus_exp": "log1p(raised({0}))",
        "signed_square": "copysign({0} * {0}, {0})",
        "hinge": "(1.0 if {0} > 0.0 else 0.0)",
    }
    if name not in ways:
        raise NotCompiled(f"treelite's {name}")
    return [source.let(ways[name].format(one), "p") for one in sums]


def _finish(model: Any, method: str, source: Source, sums: Sequence[str], told: Mapping[str, Any]) -> Fitted:
    """Turn raw scores into what the method gives."""
    name = kind(model)
    datatype = "FP32" if name in xgboost.MODELS else "FP64"
    several = len(sums) > 1
    if name == _ISOLATION:
        return _isolation(model, method, source, _outputs(source, sums, told)[0])
    if method == "decision_function" and name in _SCORED:
        return Fitted(f"put_all(({', '.join(sums)},))", datatype, len(sums) if several else None)
    if name.endswith("Classifier"):
        return _classes(model, method, source, sums, told)
    if method != "predict" or several:
        raise NotCompiled(f"method {method!r} of {len(sums)} sums")
    return Fitted(f"put({_outputs(source, sums, told)[0]})", datatype, None)


def _classes(model: Any, method: str, source: Source, sums: Sequence[str], told: Mapping[str, Any]) -> Fitted:
    """Give labels or probabilities: of scores in the original's own way where these decide."""
    name = kind(model)
    several = len(sums) > 1
    if method not in {"predict", "predict_proba"}:
        raise NotCompiled(f"method {method!r}")
    if method == "predict" and name in _SCORED and not several:
        return _either(model, f"{sums[0]} {'>=' if name in boosting.BOOSTED else '>'} 0.0")
    as_they_are = name in forests.FORESTS or (method == "predict" and name in _SCORED)
    outputs = list(sums) if as_they_are else _outputs(source, sums, told)
    if method == "predict":
        labels = choose(source, method, model.classes_, outputs) if several else None
        return labels or _either(model, f"{outputs[0]} > 0.5")
    both = outputs if several else [f"1.0 - {outputs[0]}", outputs[0]]
    datatype = "FP32" if name in xgboost.MODELS else "FP64"
    return Fitted(f"put_all(({', '.join(both)},))", datatype, len(both))


def _either(model: Any, question: str) -> Fitted:
    labels, datatype = describe(model.classes_)
    first, second = map(literal, labels)
    return Fitted(f"put({second} if {question} else {first})", datatype, None)


def _isolation(model: Any, method: str, source: Source, ratio: str) -> Fitted:
    offset = literal(float(model.offset_))
    if method == "score_samples":
        return Fitted(f"put(-{ratio})", "FP64", None)
    score = source.let(f"-{ratio} - {offset}")
    if method == "decision_function":
        return Fitted(f"put({score})", "FP64", None)
    if method != "predict":
        raise NotCompiled(f"method {method!r}")
    return Fitted(f"put(-1 if {score} < 0.0 else 1)", "INT64", None)
