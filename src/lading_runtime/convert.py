"""A job in, a model in another form in a folder out: what converting runs in the sandbox, by its own Python.

The job is JSON: `path`, `loader`, `options` and `code`, as the worker's job; `to`, one of WAYS; `rows`, cells
to trace a program with; `names` and `types` of the columns, where there are some.
"""

# jobs and models are of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from lading_runtime import pmml
from lading_runtime.loaders import pickle as estimators


class NotConverted(Exception):  # noqa: N818 - an outcome
    """A model has no such form."""


def main(job_path: str, folder: str) -> int:
    """Convert the job's model; `outcome.json` names the file, or says why there is none."""
    with open(job_path, "rb") as stream:  # noqa: PTH123
        job = json.load(stream)
    try:
        made = WAYS[job["to"]](job, folder)
        outcome = made if isinstance(made, dict) else {"file": made}
    except (NotConverted, pmml.NotWritten) as reason:
        outcome = {"reason": str(reason)}
    except Exception as error:  # noqa: BLE001 - whatever a library cannot do with a model
        outcome = {"reason": f"{type(error).__name__}: {error}"[:2000]}
    with open(os.path.join(folder, "outcome.json"), "w", encoding="utf-8") as out:  # noqa: PTH118, PTH123
        json.dump(outcome, out)
    return 0


def _estimator(job: Mapping[str, Any]) -> Any:
    """Read the estimator as it was saved: a loaded one is quickened, and would be written so."""
    if job.get("code") and job["code"].get("path"):
        sys.path.insert(0, str(job["code"]["path"]))
    return estimators.read(os.path.join(job["path"], str(job["options"]["file"])), job["options"])  # noqa: PTH118


def to_skops(job: Mapping[str, Any], folder: str) -> str:
    """Write an estimator with skops."""
    import skops.io  # type: ignore[import-not-found,import-untyped,unused-ignore]

    skops.io.dump(_estimator(job), os.path.join(folder, "model.skops"))  # noqa: PTH118
    return "model.skops"


def to_onnx(job: Mapping[str, Any], folder: str) -> str:
    """Write an estimator as a graph of ONNX, with the one output that its method returns."""
    from skl2onnx import convert_sklearn  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from skl2onnx.helpers.onnx_helper import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        select_model_inputs_outputs,
    )

    estimator = _estimator(job)
    method = str(job["options"].get("method") or "predict")
    is_classifier = hasattr(estimator, "classes_") and hasattr(estimator, "predict_proba")
    options = {"zipmap": False} if is_classifier else None
    graph = convert_sklearn(estimator, initial_types=_types(job, estimator), options=options)
    outputs = [one.name for one in graph.graph.output]
    wanted = {"predict": 0, "predict_proba": 1, "transform": 0, "decision_function": 1}.get(method)
    if wanted is None or wanted >= len(outputs):
        raise NotConverted(f"the graph has no output for {method!r}")
    if len(outputs) > 1:
        graph = select_model_inputs_outputs(graph, [outputs[wanted]])
    with open(os.path.join(folder, "model.onnx"), "wb") as stream:  # noqa: PTH118, PTH123
        stream.write(graph.SerializeToString())
    return "model.onnx"


def _types(job: Mapping[str, Any], estimator: Any) -> Any:
    """Return one input of all columns where they are numbers, else one for each."""
    from skl2onnx.common.data_types import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        FloatTensorType,
        Int64TensorType,
        StringTensorType,
    )

    kinds = {"string": StringTensorType, "long": Int64TensorType, "integer": Int64TensorType}
    types = job.get("types") or []
    if any(one not in {"double", "float", "long", "integer", "boolean"} for one in types) or _takes_names(
        estimator
    ):
        pairs = zip(job["names"], types)  # noqa: B905 - one each
        return [(name, kinds.get(kind, FloatTensorType)([None, 1])) for name, kind in pairs]
    width = len(types) or int(estimator.n_features_in_)
    return [("x", FloatTensorType([None, width]))]


def _takes_names(estimator: Any) -> bool:
    """Tell whether a part of it picks columns by name."""
    steps = [one for _, one in getattr(estimator, "steps", None) or [("", estimator)]]
    return any(type(one).__name__ == "ColumnTransformer" for one in steps)


def _module(job: Mapping[str, Any]) -> Any:
    import torch  # type: ignore[import-not-found,import-untyped,unused-ignore]

    if job.get("code") and job["code"].get("path"):
        sys.path.insert(0, str(job["code"]["path"]))
    file = os.path.join(job["path"], str(job["options"]["file"]))  # noqa: PTH118
    if job["options"].get("form") == "script":
        return torch.jit.load(file, map_location="cpu").eval()
    pickler = importlib.import_module(str(job["options"].get("pickle_module") or "pickle"))
    found = torch.load(file, weights_only=False, pickle_module=pickler, map_location="cpu")
    return found.eval() if hasattr(found, "eval") else found


def to_pt2(job: Mapping[str, Any], folder: str) -> str:
    """Trace a module with the rows, and write the program."""
    import numpy as np
    import torch

    module = _module(job)
    rows = torch.from_numpy(np.array(job["rows"], dtype=np.float32))
    # one row would be taken for the only number of rows there can be
    rows = rows if len(rows) > 1 else torch.cat([rows, rows])
    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(module, (rows,), dynamic_shapes=shapes)
    torch.export.save(program, os.path.join(folder, "model.pt2"))  # noqa: PTH118
    return "model.pt2"


def to_safetensors(job: Mapping[str, Any], folder: str) -> str:
    """Write the weights of a module, or a dictionary of them, and hold them against the original's."""
    import torch
    from safetensors.torch import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        load_file,
        save_file,
    )

    found = _module(job)
    weights = found.state_dict() if hasattr(found, "state_dict") else found
    if not isinstance(weights, Mapping) or not all(isinstance(one, torch.Tensor) for one in weights.values()):
        raise NotConverted("it holds other things than tensors by name")
    file = os.path.join(folder, "model.safetensors")  # noqa: PTH118
    # tensors that share memory are written apart
    save_file({name: one.detach().clone().contiguous() for name, one in weights.items()}, file)
    again = load_file(file)
    if set(again) != set(weights) or not all(torch.equal(again[name], weights[name]) for name in again):
        raise NotConverted("what was written is not what was there")
    return "model.safetensors"


def to_pmml(job: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Write an estimator, or boosted trees in their library's own file, as PMML."""
    loader = job["loader"]
    if loader == "pickle":
        return pmml.write(_estimator(job), job, folder)
    module = importlib.import_module(f"lading_runtime.loaders.{loader}")
    return pmml.write(module.read(job["path"], job["options"]), job, folder)


WAYS = {"onnx": to_onnx, "pmml": to_pmml, "pt2": to_pt2, "safetensors": to_safetensors, "skops": to_skops}
