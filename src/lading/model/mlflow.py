"""An MLflow model folder of any flavour: a path goes in, `ModelFacts` come out. MLflow is not needed.

The format is `MLmodel` (YAML) with files beside it (mlflow/models/model.py). What loaders of our
own load alike is served without mlflow, the rest by mlflow's own `python_function`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lading.core import grammar
from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement, Risk
from lading.core.signature import Field, Signature
from lading.model import mlflow_environment, mlflow_lean, networks, saved, shims, skops
from lading.model.distributions import distribution_of
from lading.model.documents import read_yaml
from lading.model.flavour import SKLEARN, Flavour, Lean
from lading.model.mlflow_example import read_examples
from lading.model.mlflow_requirements import FRAMEWORKS, framework_version, merged, pinned, told_requirements
from lading.model.plain import truths_of
from lading.model.request import Request
from lading.model.sklearn import (
    Pickled,
    follow,
    follow_data,
    notes_of,
    requirements_of,
    risks_of,
    saved_with,
)

# flavours whose model may be an estimator in a file of its own → the key that names the file
_OF_ESTIMATORS = {"lightgbm": "data", "sklearn": "pickled_model"}
# what MLflow itself has skops make of LightGBM: objects whose state is numbers and the text of the trees
BY_MLFLOW = {
    f"lightgbm.{name}" for name in ("basic.Booster", "sklearn.LGBMClassifier", "sklearn.LGBMRegressor")
}


@dataclass(frozen=True, slots=True)
class _Loading:
    """How the model is loaded, and what of it could run code then."""

    loader: str
    options: Mapping[str, Any]
    name: str
    risks: tuple[Risk, ...]
    notes: tuple[str, ...]
    modules: tuple[str, ...] = ()
    signature: Signature | None = None
    requirements: tuple[Requirement, ...] = ()
    always: tuple[Requirement, ...] = ()
    saved_with: tuple[str, ...] = ()
    """What its pickles tell of the libraries that wrote them."""
    """What the loader needs, whatever the model's own list says: MLflow would have brought it."""


def recognise(request: Request) -> bool:
    """Tell whether the folder has an `MLmodel`."""
    return (request.path / "MLmodel").is_file()


_OF_JAVA = frozenset({"h2o", "spark"})
_CHAT = "mlflow.pyfunc.loaders.chat_model"
_NO_REQUIREMENTS = "the model lists no requirements"


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of an MLflow model folder; raise ModelError where a file of it is broken."""
    root = request.path
    files = {one.path: one for one in request.files}
    document = read_yaml(root / "MLmodel", "MLmodel")
    flavors = document.get("flavors")
    pyfunc = flavors.get("python_function") if isinstance(flavors, dict) else None
    if not isinstance(flavors, dict) or not isinstance(pyfunc, dict):
        what = "has no flavour 'python_function', which is what can be served"
        raise ModelError(
            Issue("MLmodel", what, "save the model with a flavour that MLflow can serve in Python")
        )
    flavour = next((name for name in sorted(flavors) if name != "python_function"), "python_function")
    settings = flavors[flavour] if isinstance(flavors[flavour], dict) else {}
    if request.loader != "mlflow":
        document = shims.without(document, flavour)
        pyfunc = document["flavors"]["python_function"]
    environment = mlflow_environment.find(root, pyfunc, files)
    requirements_file = environment.requirements_file
    # MLflow writes the format of a Booster too, which is text whatever it says
    is_booster = str(settings.get("model_class")).endswith(".Booster")
    is_estimator = flavour == "sklearn" or (
        settings.get("serialization_format") == "skops" and not is_booster
    )
    if (
        is_estimator
        and pyfunc.get("loader_module") == f"mlflow.{flavour}"
        and flavour in _OF_ESTIMATORS
        and request.loader != "mlflow"
    ):
        loading = _native(request, files, flavour, settings, pyfunc)
        told: tuple[Requirement, ...] = ()
    else:
        loading = _other(request, files, flavour, settings, document)
        told = () if requirements_file else told_requirements(flavour, document, settings, pyfunc)
    shipped, signature = pyfunc.get("code"), _signature(document)
    return ModelFacts(
        root=root,
        format="mlflow",
        flavour=f"mlflow {flavour}{f' {loading.name}' if loading.name else ''}",
        loader=loading.loader,
        loader_options={**loading.options, **({} if signature else truths_of(loading.signature))},
        files=tuple(files.values()),
        framework=FRAMEWORKS.get(flavour),
        framework_version=framework_version(flavour, settings),
        python=environment.python,
        signature=signature or loading.signature,
        requirements=loading.always
        if requirements_file
        else merged(told, (*loading.requirements, *loading.always)),
        requirements_file=requirements_file,
        examples=read_examples(root, document, files),
        risks=loading.risks,
        modules=loading.modules,
        code=request.code or (_inside(root, str(shipped), files) if shipped else None),
        notes=(*loading.notes, *(environment.notes if requirements_file else [_NO_REQUIREMENTS])),
        saved_with=saved.by_mlflow(root, document, environment.python, loading.saved_with),
    )


def _native(
    request: Request,
    files: Mapping[str, ModelFile],
    flavour: str,
    settings: Mapping[str, Any],
    pyfunc: Mapping[str, Any],
) -> _Loading:
    """Read an estimator of scikit-learn's kind, which is served without mlflow."""
    name = settings.get(_OF_ESTIMATORS[flavour]) or pyfunc.get("model_path") or "model.pkl"
    form = settings.get("serialization_format") or "pickle"
    if name not in files:
        raise ModelError(
            Issue("MLmodel", f"names {name!r}, which is not in the folder", "copy the whole folder")
        )
    file = files[name]
    method = str(pyfunc.get("predict_fn") or "predict")
    options: dict[str, Any] = {"file": file.path, "method": method}
    library = pinned(FRAMEWORKS[flavour], framework_version(flavour, settings))
    # MLflow does not list what it requires itself
    always = (SKLEARN,) if form == "pickle" else (SKLEARN, Requirement(form, "mlflow"))
    slim = "mlflow is not needed to serve it"
    if form == "skops":
        found = skops.inspect(file)
        # what is in the file is either listed as safe or a risk that the author has to allow: MLflow's own
        # list of trusted types comes with the model and is no reason to trust it
        options |= {"serialization": "skops", "trusted_types": list(found.types)}
        return _Loading(
            "pickle",
            options,
            found.name,
            tuple(risk for risk in found.risks if risk.name not in BY_MLFLOW),
            (f"skops {found.version}", slim),
            found.modules,
            requirements=(pinned("skops", found.version), library),
            always=always,
        )
    if form not in {"pickle", "cloudpickle"}:
        what = f"got serialization_format {form!r}, expected 'pickle', 'cloudpickle' or 'skops'"
        raise ModelError(Issue("MLmodel", what))
    pickled = follow(file, request.first_party)
    if pickled.estimator is None:
        raise ModelError(Issue(file.path, "holds no estimator", "save the model again"))
    options["serialization"] = "joblib" if pickled.serialization == "joblib" else form
    return _Loading(
        "pickle",
        options,
        pickled.estimator.name,
        risks_of(pickled),
        (*notes_of(pickled)[:1], slim),
        _modules(pickled),
        pickled.estimator.signature if method == "predict" else None,
        # the pickle knows its own version better than the document beside it
        merged(() if pickled.estimator.version else (library,), _needed(pickled, request)),
        always=always,
        saved_with=saved_with(pickled),
    )


def _other(
    request: Request,
    files: Mapping[str, ModelFile],
    flavour: str,
    settings: Mapping[str, Any],
    document: Mapping[str, Any],
) -> _Loading:
    """Walk every pickle of a model; any other code that it brings is a risk as well.

    It is loaded by a loader of our own where that is the same, else by MLflow.
    """
    pyfunc = document["flavors"]["python_function"]
    risks = networks.risks(files.values(), request.first_party)
    needed: list[Requirement] = []
    written: list[str] = []
    modules: set[str] = set()
    asked: set[str] = set()
    unfollowed: set[str] = set()
    for pickled in follow_data(files.values(), request.first_party):
        if isinstance(pickled, Risk):
            risks.append(pickled)
            unfollowed.add(pickled.name)
            continue
        risks += risks_of(pickled)
        needed += _needed(pickled, request)
        written += saved_with(pickled)
        modules.update(_modules(pickled))
        asked.update(mlflow_lean.asked(pickled.walked.names, pickled.walked.mentions))
    given = Flavour(
        settings, pyfunc, files, _signature(document), document, frozenset(asked), frozenset(unfollowed)
    )
    risks += _code(given)
    lean = None if request.loader == "mlflow" else mlflow_lean.find(flavour, given)
    if lean is None:
        modules.add(str(pyfunc.get("loader_module") or "mlflow.pyfunc"))
        method = str(pyfunc.get("predict_fn") or "predict")
        # MLflow finds it by itself; those who hold answers against the signature have to know
        lean = Lean("pyfunc", {"method": method} if method != "predict" else {})
        java = ", and needs Java: system_packages: [default-jre-headless]" if flavour in _OF_JAVA else ""
        note = f"{flavour} is loaded by mlflow{java}"
    else:
        modules.update(lean.modules, filter(None, (FRAMEWORKS.get(flavour, "").replace("-", "_"),)))
        needed = [one for one in needed if distribution_of(one) != "mlflow"]
        if lean.loader in mlflow_lean.UNPICKLED:
            risks = [risk for risk in risks if risk.name not in unfollowed]
        note = "mlflow is not needed to serve it"
    return _Loading(
        lean.loader,
        lean.options,
        "",
        tuple(risks),
        (note,),
        tuple(sorted(modules)),
        requirements=tuple(needed),
        always=lean.requirements,
        saved_with=tuple(written),
    )


def _code(given: Flavour) -> Iterator[Risk]:
    """Tell the Python of the model's own that is run to load it."""
    if source := given.pyfunc.get("model_code_path"):
        yield Risk("MLmodel", Path(str(source)).name, "the model is Python code, which is run to load it")
    loads = mlflow_lean.own_loader(given)
    if loads and not shims.is_ours(loads, given):
        yield Risk("MLmodel", loads, "its loader is Python code that the model brings, and is run")


def _needed(pickled: Pickled, request: Request) -> tuple[Requirement, ...]:
    return requirements_of(pickled, request.first_party).requirements


def _modules(pickled: Pickled) -> tuple[str, ...]:
    return tuple(sorted({module for module, _ in pickled.walked.names}))


def _inside(root: Path, name: str, files: Mapping[str, ModelFile]) -> Path:
    """Find the folder of `code_paths` that the model brings along."""
    if not any(path.startswith(f"{name}/") for path in files):
        raise ModelError(
            Issue("MLmodel", f"names the code folder {name!r}, which is not there", "copy the whole folder")
        )
    return root / name


def _signature(document: Mapping[str, Any]) -> Signature | None:
    """Read the signature, whose parts are JSON texts inside of the YAML (mlflow/types/schema.py)."""
    written = document.get("signature")
    if not isinstance(written, dict):
        return None
    parts = {key: written.get(key) for key in grammar.PARTS}
    signature = grammar.read(parts, "MLmodel: signature")
    if document.get("is_signature_from_type_hint"):
        # pydantic's defaults are not told, and MLflow itself leaves the check to the hints
        signature = replace(signature, inputs=tuple(map(_with_defaults, signature.inputs)))
    if document["flavors"]["python_function"].get("loader_module") == _CHAT:
        # what is None is left out of an answer, though the signature that MLflow writes requires it
        signature = replace(
            signature, outputs=tuple(replace(one, required=False) for one in signature.outputs)
        )
    return signature if signature.inputs or signature.outputs or signature.params else None


def _with_defaults(given: Field) -> Field:
    """Require no property of an object."""
    return replace(given, nested=_loosened(given.nested))


def _loosened(nested: Any) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(nested, Mapping):
        return nested
    return {
        key: {name: {**_loosened(one), "required": False} for name, one in value.items()}
        if key == "properties"
        else _loosened(value)
        for key, value in nested.items()
    }
