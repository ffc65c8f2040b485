"""The libraries whose models can be saved: one row each. A model goes in, how it is saved comes out."""

# models of libraries that may not be there have no types
# ruff: noqa: ANN401

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lading.core.errors import Issue, ModelError, SpecError
from lading.saving import estimators
from lading.saving.flavour import Flavour, Saving, Written
from lading.saving.sample import is_a


def of(model: Any, method: str = "predict") -> Flavour:
    """Find the flavour by the libraries of the model's classes; raise ModelError where there is none.

    A format of a library answers one question: another method of an estimator goes as scikit-learn's do.
    """
    if isinstance(model, type):
        what = f"got the class {model.__qualname__}, expected a model of it"
        raise ModelError(Issue("model", what, f"make one first: {model.__name__}(…)"))
    for cls in type(model).__mro__:
        flavour = FLAVOURS.get(cls.__module__.partition(".")[0])
        if flavour is not None and method == "predict" and (has := _instead(model, flavour)) is not None:
            what = f"the {type(model).__name__} has no 'predict'"
            fix = f"name what it is asked by: method={has[0]!r}" if has else "give it a flavour of your own"
            raise SpecError(Issue("method", what, fix))
        if flavour is not None:
            return flavour if method == "predict" else _of_method(model, method, flavour)
    if callable(getattr(model, "predict", None)) or callable(model):
        return OBJECT
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    known = ", ".join(sorted(FLAVOURS))
    what = f"got a {kind}, expected a function, an object with predict, or a model of {known}"
    raise ModelError(
        Issue("model", what, "give it a flavour of your own: save(…, flavour=lading.Flavour(…))")
    )


def _instead(model: Any, flavour: Flavour) -> list[str] | None:
    """Name the methods of an estimator that has no `predict`; None where it has, or is of another kind."""
    if flavour.name != "sklearn" or callable(getattr(model, "predict", None)):
        return None
    return [
        one for one in ("transform", "predict_proba", "kneighbors") if callable(getattr(model, one, None))
    ]


def _of_method(model: Any, method: str, flavour: Flavour) -> Flavour:
    if not callable(getattr(model, method, None)):
        raise SpecError(Issue("method", f"the model has no {method!r}", "name one that it has"))
    if flavour.name in {"sklearn", "lightgbm"}:
        return flavour
    if flavour.name in {"catboost", "xgboost"} and hasattr(model, "get_params") and hasattr(model, "fit"):
        return FLAVOURS["sklearn"]
    what = f"got {method!r}, and a model of {flavour.name} is saved to be asked by predict alone"
    raise SpecError(
        Issue("method", what, "leave it out, or give a flavour of your own: flavour=lading.Flavour(…)")
    )


def _xgboost(saving: Saving) -> Written:
    import xgboost  # type: ignore[import-not-found,import-untyped,unused-ignore]

    saving.model.save_model(saving.folder / "model.ubj")
    settings = {
        "data": "model.ubj",
        "model_class": _class(saving.model),
        "model_format": "ubj",
        "xgb_version": xgboost.__version__,
    }
    more = () if isinstance(saving.model, xgboost.Booster) else ("sklearn",)
    return Written("model.ubj", settings, "mlflow.xgboost", ("xgboost", *more))


def _predict_xgboost(model: Any, inputs: Any) -> Any:
    import xgboost

    return model.predict(xgboost.DMatrix(inputs) if isinstance(model, xgboost.Booster) else inputs)


def _lightgbm(saving: Saving) -> Written:
    import lightgbm  # type: ignore[import-not-found,import-untyped,unused-ignore]

    if not isinstance(saving.model, lightgbm.Booster):
        return estimators.write(saving, "lightgbm", "data")
    saving.model.save_model(saving.folder / "model.lgb")
    settings = {"data": "model.lgb", "model_class": _class(saving.model), "lgb_version": lightgbm.__version__}
    return Written("model.lgb", settings, "mlflow.lightgbm", ("lightgbm",))


def _catboost(saving: Saving) -> Written:
    import catboost  # type: ignore[import-not-found,import-untyped,unused-ignore]

    saving.model.save_model(str(saving.folder / "model.cb"), format="cbm")
    settings = {
        "data": "model.cb",
        "model_type": type(saving.model).__name__,
        "save_format": "cbm",
        "catboost_version": catboost.__version__,
    }
    return Written("model.cb", settings, "mlflow.catboost", ("catboost",))


def _onnx(saving: Saving) -> Written:
    import onnx  # type: ignore[import-not-found,import-untyped,unused-ignore]

    onnx.save_model(saving.model, str(saving.folder / "model.onnx"))
    providers = ["CPUExecutionProvider"]
    settings = {"data": "model.onnx", "onnx_version": onnx.__version__, "providers": providers}
    return Written("model.onnx", settings, "mlflow.onnx", ("onnx", "onnxruntime"), {"data": "model.onnx"})


def _predict_onnx(model: Any, inputs: Any) -> Any:
    import numpy as np
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    types = {one.name: one.type for one in session.get_inputs()}
    if not isinstance(inputs, dict):
        by_columns = hasattr(inputs, "columns") and len(types) > 1
        inputs = {str(name): inputs[name] for name in inputs} if by_columns else dict.fromkeys(types, inputs)
    given = {name: np.asarray(one) for name, one in inputs.items()}
    for name, one in given.items():
        # doubles are brought to the graph's floats, as MLflow and our server do
        if one.dtype == np.float64 and types.get(name) == "tensor(float)":
            given[name] = one.astype(np.float32)
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


def _torch(saving: Saving) -> Written:
    """Write a program of torch.export where it can be traced with the sample, else the pickled module."""
    import torch  # type: ignore[import-not-found,import-untyped,unused-ignore]

    if isinstance(saving.model, torch.export.ExportedProgram):
        folder = saving.folder / "data"
        folder.mkdir()
        torch.export.save(saving.model, folder / "model.pt2")
        return Written("data", _settings(), "lading_torch_export", ("torch",))
    with _evaluating(saving.model) as model:
        return _write_torch(model, saving)


def _settings() -> dict[str, str]:
    import torch

    return {"model_data": "data", "pytorch_version": torch.__version__.partition("+")[0]}


@contextmanager
def _evaluating(model: Any) -> Iterator[Any]:
    """Give a module as it predicts; its author may go on training it, so that it is then as it was."""
    if not hasattr(model, "modules"):  # a program of torch.export
        yield model.module()
        return
    trains = [one for one in model.modules() if one.training]
    try:
        yield model.eval()
    finally:
        for one in trains:
            one.training = True


def _write_torch(model: Any, saving: Saving) -> Written:
    import torch  # type: ignore[import-not-found,import-untyped,unused-ignore]

    folder = saving.folder / "data"
    folder.mkdir()
    settings = _settings()
    why = "there are no inputs to trace it with"
    if saving.sample is not None:
        tensor = torch.from_numpy(_array(saving.sample))
        # one row would be taken for the only number of rows there can be
        tensor = tensor if len(tensor) > 1 else torch.cat([tensor, tensor])
        try:
            program = torch.export.export(model, (tensor,), dynamic_shapes=({0: torch.export.Dim("rows")},))
            torch.export.save(program, folder / "model.pt2")
            return Written("data", settings, "lading_torch_export", ("torch",))
        except Exception as error:  # noqa: BLE001 - whatever a module's own code does when it is traced
            (folder / "model.pt2").unlink(missing_ok=True)
            why = f"torch.export cannot trace it: {str(error).splitlines()[0][:200]}"
    file = folder / "model.pth"
    (folder / "pickle_module_info.txt").write_text("pickle", encoding="utf-8")
    libraries: tuple[str, ...] = ("torch",)
    form = "pickled"
    if isinstance(model, torch.jit.ScriptModule):
        torch.jit.save(model, str(file))
        form = "as TorchScript"
    elif any(type(one).__module__ == "__main__" for one in model.modules()):
        # what a script or a notebook defines goes along
        import cloudpickle

        torch.save(model, file, pickle_module=cloudpickle)
        libraries, form = ("torch", "cloudpickle"), "pickled with its code"
    else:
        torch.save(model, file)
    return Written("data", settings, "mlflow.pytorch", libraries, notes=(f"{form}, for {why}",))


def _array(sample: Any) -> Any:
    import numpy as np

    return sample.to_numpy(dtype=np.float32) if hasattr(sample, "to_numpy") else np.asarray(sample)


def _in_precision(model: Any, inputs: Any) -> Any:
    """Bring an array of floats to the precision of a module's weights, which takes no other."""
    import torch

    weights = next((one.dtype for one in model.parameters() if one.is_floating_point()), None)
    if not is_a(inputs, "numpy", "ndarray") or inputs.dtype.kind != "f":
        return inputs
    names = {torch.float32: "float32", torch.float64: "float64"}
    return inputs.astype(names[weights]) if weights in names else inputs


def _predict_torch(model: Any, inputs: Any) -> Any:
    import torch

    if isinstance(inputs, dict):
        what = "got arrays by name, and a module of PyTorch is saved to be given one array"
        raise SpecError(Issue("inputs", what, "give a flavour of your own: flavour=lading.Flavour(…)"))
    with torch.no_grad(), _evaluating(model) as module:
        found = module(torch.from_numpy(_array(inputs)))
    if not isinstance(found, torch.Tensor):
        what = f"the module answers with a {type(found).__name__}, and is saved to give one tensor"
        raise SpecError(Issue("model", what, "give a flavour of your own: flavour=lading.Flavour(…)"))
    return found.numpy()


def _keras(saving: Saving) -> Written:
    import keras  # type: ignore[import-not-found,import-untyped,unused-ignore]

    folder = saving.folder / "data"
    folder.mkdir()
    saving.model.save(folder / "model.keras")
    (folder / "keras_module.txt").write_text("keras", encoding="utf-8")
    backend = keras.backend.backend()
    settings = {"data": "data", "keras_version": keras.__version__, "keras_backend": backend}
    return Written("data", settings, "lading_keras", ("keras", backend))


def _predict_keras(model: Any, inputs: Any) -> Any:
    return model.predict(inputs if isinstance(inputs, dict) else _array(inputs), verbose=0)


def _statsmodels(saving: Saving) -> Written:
    import statsmodels  # type: ignore[import-not-found,import-untyped,unused-ignore]

    saving.model.save(str(saving.folder / "model.statsmodels"))
    settings = {"data": "model.statsmodels", "statsmodels_version": statsmodels.__version__}
    return Written("model.statsmodels", settings, "mlflow.statsmodels", ("statsmodels",))


def _prophet(saving: Saving) -> Written:
    import prophet  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from prophet.serialize import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        model_to_json,
    )

    text = json.dumps(model_to_json(saving.model))
    (saving.folder / "model.pr").write_text(text, encoding="utf-8")
    settings = {"data": "model.pr", "prophet_version": prophet.__version__}
    return Written("model.pr", settings, "mlflow.prophet", ("prophet",))


def _spacy(saving: Saving) -> Written:
    import spacy  # type: ignore[import-not-found,import-untyped,unused-ignore]

    saving.model.to_disk(saving.folder / "model.spacy")
    settings = {"data": "model.spacy", "spacy_version": spacy.__version__}
    return Written("model.spacy", settings, "mlflow.spacy", ("spacy",))


def _texts(_: Any, inputs: Any) -> Any:
    """Return a frame with one column of texts, which is what MLflow gives spaCy, of any list of them."""
    import pandas as pd

    if is_a(inputs, "pandas", "Series"):
        return inputs.to_frame(inputs.name or "text")
    return inputs if hasattr(inputs, "iloc") else pd.DataFrame(inputs, columns=["text"])


def _predict_spacy(model: Any, inputs: Any) -> Any:
    return [{"predictions": model(str(text)).cats} for text in inputs.iloc[:, 0]]


def _object(saving: Saving) -> Written:
    import cloudpickle

    file = saving.folder / "model.pkl"
    with file.open("wb") as stream:
        model = saving.model if saving.method == "predict" else getattr(saving.model, saving.method)
        cloudpickle.dump(model, stream, protocol=min(4, pickle.HIGHEST_PROTOCOL))
    names = saving.untrusted(file)
    notes = (f"pickled with its code, which names {', '.join(names)}: packing asks for each of them",)
    settings = {"pickled": file.name, "cloudpickle_version": cloudpickle.__version__}
    return Written(file.name, settings, "lading_object", ("cloudpickle",), notes=notes if names else ())


def _class(model: Any) -> str:
    return f"{type(model).__module__}.{type(model).__qualname__}"


OBJECT = Flavour("object", _object, lambda model, inputs: getattr(model, "predict", model)(inputs))
"""For what is of no library: pickled with its code."""
FLAVOURS = {
    "catboost": Flavour("catboost", _catboost),
    "keras": Flavour("keras", _keras, _predict_keras),
    "lightgbm": Flavour("lightgbm", _lightgbm),
    "onnx": Flavour("onnx", _onnx, _predict_onnx),
    "prophet": Flavour("prophet", _prophet),
    "sklearn": Flavour("sklearn", estimators.write),
    "spacy": Flavour("spacy", _spacy, _predict_spacy, prepare=_texts),
    "statsmodels": Flavour("statsmodels", _statsmodels),
    "torch": Flavour("pytorch", _torch, _predict_torch, prepare=_in_precision),
    "xgboost": Flavour("xgboost", _xgboost, _predict_xgboost),
}
"""The top-level module of a model's class → how such models are saved."""
