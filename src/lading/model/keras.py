"""A model that Keras saved, as `.keras` or as HDF5, in; its inputs, version and what could run code out.

The first is a zip of `config.json`, `metadata.json` and weights; the second has the same config as a text
among its attributes. A config names classes by module and name, which Keras imports and makes: only those
of `keras` that keep numbers are let pass, and those of modules that the author ships.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement, Risk
from lading.core.signature import Field, Signature
from lading.model import hdf5
from lading.model.code import FirstParty
from lading.model.flavour import Flavour, Lean
from lading.model.keras_names import is_known, reads_files
from lading.model.plain import any_file, facts_of, library, only_file, start_of
from lading.model.request import Request
from lading.model.zips import names_of, open_zip, read

_CONFIG, _METADATA = "config.json", "metadata.json"
_MOST_CONFIG_BYTES = 256 << 20
BACKENDS = ("jax", "tensorflow", "torch")
"""Any of them gives equal predictions; the first brings two fifths of what TensorFlow does."""
_WIDENED = {"bfloat16": "float32", "float16": "float32", "string": "str"}
_OF_TENSORFLOW = frozenset(
    {
        *("Discretization", "FeatureSpace", "HashedCrossing", "Hashing", "IntegerLookup", "StringLookup"),
        *("TFSMLayer", "TextVectorization"),
    }
)
"""Layers that work with TensorFlow alone, or take texts."""


@dataclass(frozen=True, slots=True)
class Network:
    """What a file tells."""

    name: str
    version: str | None
    backend: str | None
    signature: Signature | None
    risks: tuple[Risk, ...]
    modules: tuple[str, ...]
    """Those of the author's that have to be imported before."""
    has_code: bool
    """Functions whose byte code stands in the config."""


def is_one(file: ModelFile) -> bool:
    """Tell whether a file is a model of Keras, in either form."""
    if _is_hdf5(file):
        try:
            return "model_config" in hdf5.texts(file.source, file.path)
        except ModelError:
            return False
    return {_CONFIG, _METADATA} <= names_of(file)


def is_hdf5(file: ModelFile) -> bool:
    """Tell whether a file is HDF5, behind whatever stands before it."""
    return hdf5.start_of(file.source) is not None


def risks(file: ModelFile) -> tuple[Risk, ...]:
    """List what HDF5 names, to predict and to train; raise ModelError where that cannot be followed."""
    texts = hdf5.texts(file.source, file.path)
    try:
        documents = [json.loads(texts[key]) for key in hdf5.OF_KERAS if key in texts]
    except (ValueError, RecursionError) as error:
        what = f"its config cannot be read: {error}"[:300]
        raise ModelError(Issue(file.path, what, "save it again")) from error
    found = (risk for one in documents for risk in config_risks(one, file.path, is_one=True))
    return tuple(dict.fromkeys(found))


def config_risks(config: object, where: str, *, is_one: bool = False) -> Iterator[Risk]:
    """List what a config names, as Keras writes it; of a document of others' only what looks like that."""
    is_one = is_one or _looks_like_one(config)
    for one in _objects(config, trains=True):
        if is_one or (_looks_like_one(one) and not {"module", "registered_name"}.isdisjoint(one)):
            yield from _risks(where, one, FirstParty())
        elif _looks_like_one(one):
            yield from _code(where, one)


def code_risks(config: object, where: str) -> Iterator[Risk]:
    """List the byte code of functions alone."""
    return (risk for one in _objects(config, trains=True) for risk in _code(where, one))


def _looks_like_one(config: object) -> bool:
    return isinstance(config, dict) and isinstance(config.get("class_name"), str) and "config" in config


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a model of Keras, or HDF5, of which `inspect` says more."""
    return any_file(request, lambda file: is_one(file) or _is_hdf5(file))


def _is_hdf5(file: ModelFile) -> bool:
    return start_of(file, len(hdf5.MAGIC)) == hdf5.MAGIC


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of a model; raise ModelError where it cannot be read."""
    if not any_file(request, is_one):
        for one in filter(_is_hdf5, request.files):
            hdf5.texts(one.source, one.path)  # which says what is broken
        what = "is HDF5 without Keras' 'model_config': weights alone, and nothing that makes a model of them"
        fix = (
            "save the whole model: model.save('model.keras'); or add the code that loads them: --code FOLDER"
        )
        raise ModelError(Issue(str(request.path), what, fix))
    file = only_file(request, is_one, "models of Keras")
    network = look(file, request.first_party)
    is_old = network.version is not None and network.version.startswith(("1.", "2."))
    backend = "tensorflow" if is_old else network.backend
    options: dict[str, Any] = {"file": file.path, "module": "keras", "backend": backend, "named": True}
    if network.modules:
        options["imports"] = list(network.modules)
    if network.has_code:
        options["unsafe"] = True
    return facts_of(
        request,
        form="keras",
        name=network.name,
        loader="keras",
        options=options,
        requirements=_needed(network, backend, is_old=is_old),
        modules=(backend or BACKENDS[0], "keras", *network.modules),
        framework="keras",
        version=network.version,
        signature=network.signature,
        risks=network.risks,
        notes=(f"on {backend}",),
    )


def _needed(network: Network, backend: str | None, *, is_old: bool) -> tuple[Requirement, ...]:
    """Require Keras, h5py for its weights, and what it runs on: for Keras 2 TensorFlow of its number."""
    keras = library("keras", network.version)
    if is_old and network.version:
        minor = ".".join(network.version.split(".")[:2])
        return keras, Requirement(f"tensorflow=={minor}.*", "file")
    # up to 3.3 Keras asks for packaging, which TensorFlow brings
    others = ("h5py", "packaging") if backend == "jax" else ("h5py",)
    return keras, *(Requirement(one, "file") for one in others), library(backend or "tensorflow", None)


def look(file: ModelFile, first_party: FirstParty) -> Network:
    """Read a model's config."""
    try:
        config, metadata, backend = _told(file)
        found = list(_objects(config))
        named = [one for one in found if _named(one) is not None]
        risks = dict.fromkeys(risk for one in found for risk in _risks(file.path, one, first_party))
        modules = {
            str(one["module"])
            for one in named
            if isinstance(one.get("module"), str) and first_party.has(one["module"])
        }
        classes = {str(one.get("class_name")) for one in named}
        signature = _signature(config)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ModelError(
            Issue(file.path, f"its config cannot be read: {error!r}"[:300], "save it again")
        ) from error
    version = metadata.get("keras_version")
    has_code = "__lambda__" in classes or any(one.get("function_type") == "lambda" for one in found)
    # code of the author's most likely asks TensorFlow, which is what Keras itself takes first
    is_bound = has_code or bool(modules) or not classes.isdisjoint(_OF_TENSORFLOW)
    return Network(
        str(config.get("class_name")),
        version if isinstance(version, str) and version[:1].isdigit() else None,
        "tensorflow" if is_bound else backend if backend in BACKENDS else BACKENDS[0],
        signature,
        tuple(risks),
        tuple(sorted(modules)),
        has_code,
    )


def _told(file: ModelFile) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """Return the config, the metadata and the backend, where it is told."""
    if _is_hdf5(file):
        texts = hdf5.texts(file.source, file.path)
        return json.loads(texts["model_config"]), dict(texts), texts.get("backend")
    with open_zip(file.source, file.path) as archive:
        return _entry(archive, _CONFIG), _entry(archive, _METADATA), None


def _entry(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    document = json.loads(read(archive, name, _MOST_CONFIG_BYTES))
    if not isinstance(document, dict):
        raise TypeError(f"{name} is no object")
    return document


def _objects(config: object, *, trains: bool = False) -> Iterator[Mapping[str, Any]]:
    """Visit every object of a config; what it was compiled with is left out when it is loaded to predict."""
    queue = [config]
    while queue:
        one = queue.pop()
        if isinstance(one, dict):
            yield one
            queue.extend(value for key, value in one.items() if trains or key != "compile_config")
        elif isinstance(one, list):
            queue.extend(one)


def _named(one: Mapping[str, Any]) -> str | None:
    return one["class_name"] if isinstance(one.get("class_name"), str) else None


def _risks(where: str, one: Mapping[str, Any], first_party: FirstParty) -> Iterator[Risk]:
    """Say what of an object is none of Keras' own that keep numbers."""
    yield from _code(where, one)
    name = _named(one)
    if name is None or name == "__lambda__":
        return
    module, registered = one.get("module"), one.get("registered_name")
    if reads_files(name, one.get("config")):
        yield Risk(where, name, "a layer that reads a file or folder which its config names")
    if name == "function" and isinstance(one.get("config"), str):
        name = one["config"]
    if isinstance(module, str) and first_party.has(module):
        if first_party.kind_of(module, name) is None:
            yield Risk(where, f"{module}.{name}", "no class or function that your module defines")
    elif not is_known(module, name, registered):
        shown = f"{module}.{name}" if isinstance(module, str) else str(registered or name)
        yield Risk(where, shown[:200], "named by the config, and none of Keras' own: ship its module as code")


def _code(where: str, one: Mapping[str, Any]) -> Iterator[Risk]:
    if one.get("function_type") == "lambda" or _named(one) == "__lambda__":
        yield Risk(where, "lambda", "byte code of a function stands in the model, which is run")


def _signature(config: Mapping[str, Any]) -> Signature | None:
    """Tell the inputs, of the layers that are inputs, or else of what a sequence was built for."""
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else inner
    if not isinstance(layers, list):
        return None
    inputs = [one["config"] for one in layers if one.get("class_name") == "InputLayer"]
    if not inputs and layers and config.get("class_name") == "Sequential":
        first = layers[0].get("config") or {}
        shape = first.get("batch_input_shape") or (inner or {}).get("build_input_shape")
        inputs = [{"batch_shape": shape, "dtype": first.get("dtype"), "name": "input"}] if shape else []
    if isinstance(inner, dict) and len(inputs) > 1 and isinstance(inner.get("input_layers"), list):
        order = {one[0]: at for at, one in enumerate(inner["input_layers"]) if isinstance(one, list)}
        inputs.sort(key=lambda one: order.get(one.get("name"), len(order)))
    fields = [_field(one) for one in inputs]
    return Signature(tuple(fields)) if fields else None


def _field(layer: Mapping[str, Any]) -> Field:
    shape = layer.get("batch_shape") or layer["batch_input_shape"]
    dtype = layer.get("dtype")
    dtype = dtype if isinstance(dtype, str) else "float32"
    sizes = tuple(-1 if one is None else int(one) for one in shape)
    return Field("tensor", str(layer.get("name")), dtype=_WIDENED.get(dtype, dtype), shape=sizes)


def by_mlflow(given: Flavour) -> Lean | None:
    """Load Keras' own formats; SavedModels and custom objects are MLflow's to load."""
    folder = given.file(given.settings.get("data"), given.pyfunc.get("data"), "data")
    if given.settings.get("save_exported_model") or given.settings.get("custom_objects") or folder is None:
        return None
    file = next(
        (one for end in ("model.keras", "model.h5") if (one := f"{folder}/{end}") in given.files), None
    )
    if file is None:
        return None
    module = given.text(f"{folder}/keras_module.txt") or "keras"
    if module not in {"keras", "tensorflow.keras", "tf_keras"}:
        return None
    options = {"file": file, "module": module}
    if given.settings.get("keras_backend"):
        options["backend"] = str(given.settings["keras_backend"])
    modules = (options.get("backend", "tensorflow"), module)
    return Lean("keras", options, (given.pandas,) if given.has_columns else (), modules)
