"""Estimators in, a graph of ONNX for them and a compiled form's statements around it out.

Trees and linear models are written into a graph here; all else of scikit-learn is what skl2onnx makes of it.
"""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from lading_runtime.compile import linear
from lading_runtime.compile.forests import takes_nan
from lading_runtime.compile.labels import describe
from lading_runtime.compile.notes import Fitted, NotCompiled, Source, Table, guard, kind, literal

_TRIAL_ROWS = 2
_RANGES = ("_fit_X", "support_vectors_", "theta_", "means_", "cluster_centers_", "mean_")
"""What many estimators keep that tells where their columns lie."""
_PROBABLE = frozenset(
    f"sklearn.{name}" for name in ("LogisticRegression", "LogisticRegressionCV", "LinearDiscriminantAnalysis")
)
_OPSETS = {"": 18, "ai.onnx.ml": 3}


def compile_linear(model: Any, method: str, source: Source, table: Table) -> Fitted:
    """Compile a linear model: its scores by the graph, what becomes of them as the original has it."""
    name = kind(model)
    is_classifier = hasattr(model, "classes_")
    if method == "predict_proba" and name not in _PROBABLE:
        return compile_any(model, method, source, table)
    matrix = model.coef_
    if matrix.dtype.name != "float64":
        raise NotCompiled(f"coefficients of {matrix.dtype.name}")
    rows = matrix if matrix.ndim == 2 else matrix[None, :]
    biases = (model.intercept_ + 0.0 * rows[:, 0]).tolist()
    weights = linear.Weights(rows.tolist(), biases, bool(matrix.flags.c_contiguous))
    guard(source, table, takes_nan=False, single=False)
    linear.note_ties(source, table, weights.rows, biases)
    if not source.graph.data:
        _add_products(source.graph, rows, biases)
    source.ask(table.cells)
    _add_up_what_overflows(source, table, weights)
    width = None if matrix.ndim == 1 or (is_classifier and len(biases) == 1) else len(biases)
    if not is_classifier or method == "decision_function":
        if method not in {"predict", "decision_function"}:
            raise NotCompiled(f"method {method!r}")
        return Fitted("put_all(t)", "FP64", width)
    if method == "predict_proba" and width is None:
        source.body.append("p = expit(t[0])")
        return Fitted("put_all((1.0 - p, p))", "FP64", 2)
    if method == "predict_proba":
        return Fitted("put_all(softmax(t))", "FP64", width)
    if method != "predict":
        raise NotCompiled(f"method {method!r}")
    labels, answered = describe(model.classes_)
    if width is None:
        first, second = map(literal, labels)
        return Fitted(f"put({second} if t[0] > 0.0 else {first})", answered, None)
    names = source.constant(f"({', '.join(map(literal, labels))},)")
    return Fitted(f"put({names}[highest(t)])", answered, None)


def _add_up_what_overflows(source: Source, table: Table, weights: linear.Weights) -> None:
    """Add once more, in the original's own order, where a sum is no number: infinite or NaN is by order."""
    linear.take_turns(source, table, weights)
    start = len(source.body)
    exact = linear.written_scores(source, table, weights, bound=False)
    slow = source.body[start:]
    del source.body[start:]
    source.body += ["total = sum(t)", "if total - total != 0.0:", *(" " + line for line in slow)]
    source.body.append(f" t = [{', '.join(exact)}]")


def _add_products(graph: Any, rows: Any, biases: Sequence[float]) -> None:
    import onnx

    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    weights = rows.T
    initializer = [
        helper.make_tensor("weights", double, weights.shape, weights.ravel().tolist()),
        helper.make_tensor("bias", double, [len(biases)], biases),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["scores"]),
    ]
    graph.set(nodes, "scores", weights.shape, "float64", initializer=initializer)


def compile_any(model: Any, method: str, source: Source, table: Table) -> Fitted:
    """Compile what skl2onnx converts, in double precision where that goes, else in single."""
    if table.sparse:
        raise NotCompiled(f"{kind(model)} of a sparse matrix, for ONNX")
    if kind(model).partition(".")[0] != "sklearn":
        raise NotCompiled(f"no compiler for {kind(model)}")
    first = model.steps[0][1] if kind(model) == "sklearn.Pipeline" else model
    guard(source, table, takes_nan=takes_nan(first), single=False)
    _note_ranges(first, source, table)
    if not source.graph.data:
        source.graph.fitted = _converted(model, method, source.graph, len(table.cells))
    source.ask(table.cells)
    fitted: Fitted = source.graph.fitted
    names = source.graph.labels
    if names is not None:
        known = source.constant(
            "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in names.items()) + "}"
        )
        return Fitted(f"put({known}[t])", fitted.datatype, None)
    return fitted


def _note_ranges(model: Any, source: Source, table: Table) -> None:
    """Tell the proof where a model's columns lie, as far as it keeps that."""
    for name in _RANGES:
        kept: Any = getattr(model, name, None)
        if getattr(getattr(kept, "dtype", None), "kind", "") != "f":
            continue
        rows = kept if kept.ndim == 2 else kept[None, :] if kept.ndim == 1 else kept[:0]
        if rows.ndim == 2 and rows.shape[1] == len(table.cells) and len(rows):
            step = max(1, len(rows) // 100)
            for place, column in enumerate(table.columns):
                if column is not None:
                    source.points.add(column, rows[::step, place].tolist())


def _converted(model: Any, method: str, graph: Any, width: int) -> Fitted:
    """Have skl2onnx convert a model; raise NotCompiled with its reason where it does not."""
    import numpy as np

    zeros = np.zeros((_TRIAL_ROWS, width))
    try:
        shown = getattr(model, method)(zeros)
    except ValueError as error:
        what = f"what skl2onnx converts is given numbers without names, which {kind(model)} refuses"
        raise NotCompiled(f"{what}: {error}"[:300]) from error
    if not isinstance(shown, np.ndarray) or shown.ndim not in {1, 2} or len(shown) != _TRIAL_ROWS:
        raise NotCompiled(f"{kind(model)}.{method} gives no array")
    shape = (width, shown.shape[1] if shown.ndim == 2 else 1)
    problems = []
    for dtype in ("float64", "float32"):
        try:
            _convert(model, method, graph, shape, dtype)
            break
        except NotCompiled:
            raise
        except Exception as error:  # noqa: BLE001 - of a converter's many kinds
            problems.append(f"{dtype}: {error!r}"[:200])
    else:
        raise NotCompiled(f"skl2onnx does not convert {kind(model)}: {'; '.join(problems)}")
    graph.labels = None
    if hasattr(model, "classes_") and method == "predict":
        labels, answered = describe(model.classes_)
        graph.labels = {int(one) if isinstance(one, bool) else one: one for one in labels}
        return Fitted("", answered, None)
    if shown.dtype.kind not in "fi":
        raise NotCompiled(f"{kind(model)}.{method} gives {shown.dtype}")
    sized = f"{ {'f': 'FP', 'i': 'INT'}[shown.dtype.kind] }{shown.dtype.itemsize * 8}"
    return Fitted("put_all(t)", sized, None if shown.ndim == 1 else int(shown.shape[1]))


def _convert(model: Any, method: str, graph: Any, shape: tuple[int, int], dtype: str) -> None:
    """Convert to a graph of one precision, and ask it for zeros."""
    import numpy as np
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]
    import skl2onnx  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from skl2onnx.common import data_types  # type: ignore[import-not-found,import-untyped,unused-ignore]

    is_classifier = hasattr(model, "classes_")
    options: dict[str, Any] = {}
    if is_classifier:
        options["zipmap"] = False
        if method == "decision_function":
            options["raw_scores"] = True
    declared = data_types.DoubleTensorType if dtype == "float64" else data_types.FloatTensorType
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a converter asks a model
        converted = skl2onnx.to_onnx(
            model,
            initial_types=[("x", declared([None, shape[0]]))],
            options={id(model): options} if options else None,
            target_opset=_OPSETS,
        )
    converted.ir_version = min(converted.ir_version, graph.ir_version)
    names = [one.name for one in converted.graph.output]
    if method == "predict" or (not is_classifier and method == "transform"):
        wanted = names[0]
    elif is_classifier and method in {"predict_proba", "decision_function"}:
        wanted = names[1]
    elif method == "decision_function" and "scores" in names:
        wanted = "scores"
    else:
        raise NotCompiled(f"{method!r} of {kind(model)}, for ONNX")
    data = converted.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    session.run([wanted], {"x": np.zeros((_TRIAL_ROWS, shape[0]), dtype)})
    pick = "labels" if is_classifier and method == "predict" else "rows"
    graph.take(data, wanted, shape, dtype, pick)
