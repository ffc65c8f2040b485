"""Estimators of scikit-learn's kind: skops where it can hold all of them, else pickle."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

from lading.saving.flavour import Saving, Written

_SHIM = "lading_skops"
_PICKLED = "lading_pickle"
"""MLflow's own flavours ask estimators for a few methods alone."""


def write(saving: Saving, flavour: str = "sklearn", key: str = "pickled_model") -> Written:
    """Write an estimator; `key` is how the flavour names its file."""
    if importlib.util.find_spec("skops") is not None and (found := _skops(saving, flavour, key)):
        return found
    file = saving.folder / "model.pkl"
    pickler = "pickle"
    try:
        file.write_bytes(pickle.dumps(saving.model, protocol=4))
    except (pickle.PicklingError, AttributeError, TypeError):
        pickler = "cloudpickle"
        _by_cloudpickle(saving.model, file)
    names = saving.untrusted(file)
    if pickler == "pickle" and any(one.startswith("__main__.") for one in names):
        # of a script or a notebook nothing is there when it is loaded: what it defines goes along
        pickler = "cloudpickle"
        _by_cloudpickle(saving.model, file)
        names = saving.untrusted(file)
    return Written(
        "model.pkl",
        {key: "model.pkl", "serialization_format": pickler, **_versions(flavour, saving.model)},
        f"mlflow.{flavour}" if saving.method == "predict" else _PICKLED,
        _libraries(flavour) + (("cloudpickle",) if pickler == "cloudpickle" else ()),
        {"model_path" if flavour == "sklearn" else "data": "model.pkl", **_method(saving.method)},
        notes=(f"names {', '.join(names)}: packing asks for each of them",) if names else (),
    )


def _skops(saving: Saving, flavour: str, key: str) -> Written | None:
    """Write it with skops; None where skops cannot hold it, or it names what nobody has vouched for."""
    import skops.io  # type: ignore[import-not-found,import-untyped,unused-ignore]

    file = saving.folder / "model.skops"
    try:
        skops.io.dump(saving.model, file)
        types = sorted(skops.io.get_untrusted_types(file=file))
    except Exception:  # noqa: BLE001 - whatever a class does when it is looked at
        file.unlink(missing_ok=True)
        return None
    if saving.untrusted(file):
        file.unlink()
        return None
    settings = {key: file.name, "serialization_format": "skops", "skops_trusted_types": types}
    return Written(
        file.name,
        {**settings, **_versions(flavour, saving.model)},
        _SHIM,
        ("skops", *_libraries(flavour)),
        _method(saving.method),
        {"trusted_types": list(types), "method": saving.method},
    )


def _by_cloudpickle(model: Any, file: Path) -> None:  # noqa: ANN401 - any estimator
    import cloudpickle

    with file.open("wb") as stream:
        cloudpickle.dump(model, stream)


def _method(method: str) -> dict[str, str]:
    return {} if method == "predict" else {"predict_fn": method}


def _libraries(flavour: str) -> tuple[str, ...]:
    return ("sklearn",) if flavour == "sklearn" else (flavour, "sklearn")


def _versions(flavour: str, model: Any) -> dict[str, str]:  # noqa: ANN401 - any estimator
    import sklearn  # type: ignore[import-not-found,import-untyped,unused-ignore]

    if flavour == "sklearn":
        return {"sklearn_version": sklearn.__version__}
    import lightgbm  # type: ignore[import-not-found,import-untyped,unused-ignore]

    kind = type(model)
    return {"lgb_version": lightgbm.__version__, "model_class": f"{kind.__module__}.{kind.__qualname__}"}
