"""A scikit-learn estimator in a file of pickle, joblib or cloudpickle: a path goes in, `ModelFacts` come out.

The file is told by its content, never by its suffix; in a folder exactly one must hold an estimator, the
other files are data that lie beside it. Nothing is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement, Risk
from lading.model import torch_walk
from lading.model.code import FirstParty
from lading.model.compression import open_source
from lading.model.distributions import Found, installed_version, pickled_requirements
from lading.model.estimator import Estimator, describe
from lading.model.npy import follow_beside
from lading.model.plain import library, requirements_beside, start_of, truths_of
from lading.model.request import Request
from lading.model.sniff import could_be_loaded, is_pickled, reads_as_pickle
from lading.model.source import CHUNK_BYTES
from lading.model.walk import Walked, walk
from lading.model.zips import check_zip

_NEED_SKLEARN = frozenset({"lightgbm.sklearn"})
_RELEASES = {
    "catboost": re.compile(rb"tags/v(\d+(?:\.\d+)+)\s"),
    "xgboost": re.compile(
        rb"version\[#L(?:\0|\\u0000){7}\x03i(\\u0000|.)i(\\u0000|.)i(\\u0000|.)", re.DOTALL
    ),
}
"""Where a model within a pickle tells the release that made it: CatBoost in text, XGBoost in UBJSON."""
_CATEGORY = re.compile(rb"SL\0{7}\x01c")
"""The type of a feature of XGBoost's that is one of pandas' categories."""
_POINTER = b"version https://git-lfs.github.com/spec/"
_OVERLAP_BYTES = 64


@dataclass(frozen=True, slots=True)
class Pickled:
    """One pickled file, followed."""

    file: ModelFile
    compressor: str | None
    walked: Walked
    estimator: Estimator | None

    @property
    def serialization(self) -> str:
        """Name the library that has to load it; the walk holds for no other."""
        if self.walked.raw_arrays or self.walked.files or self.compressor:
            return "joblib"
        return (
            "cloudpickle"
            if any(module.startswith("cloudpickle") for module, _ in self.walked.names)
            else "pickle"
        )


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a pickled file."""
    return any(map(is_pickled, request.files))


def follow(file: ModelFile, first_party: FirstParty) -> Pickled:
    """Walk one pickled file; raise ModelError where it cannot be followed."""
    with open_source(file.source, file.path) as (source, compressor):
        if source.at_end():
            raise ModelError(Issue(file.path, "the file is empty", "save the model again"))
        try:
            walked = walk(source, first_party=first_party)
        except ModelError:
            if compressor is None and not reads_as_pickle(file):
                check_zip(file)
                if start_of(file).startswith(_POINTER):
                    what = "is a pointer of Git LFS, not the file that it stands for"
                    raise ModelError(Issue(file.path, what, "fetch it: git lfs pull")) from None
                what = "is no pickle, nor of any other format known here"
                raise ModelError(Issue(file.path, what, "name the model's own file or folder")) from None
            raise
    follow_beside(file, walked, first_party)
    return Pickled(file, compressor, walked, describe(walked.top))


def follow_data(files: Iterable[ModelFile], first_party: FirstParty) -> Iterator[Pickled | Risk]:
    """Walk every file that code beside it could load with pickle; one that cannot be followed is a risk.

    What `torch.save` wrote pickle itself does not load: `networks.look` walks that.
    """
    for file in files:
        if not could_be_loaded(file) or torch_walk.is_one(file):
            continue
        try:
            yield follow(file, first_party)
        except ModelError as error:
            issue = error.issues[0]
            yield Risk(issue.where, file.path, f"a pickle that cannot be followed: {issue.what}")


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of an estimator's file, or of a folder with one; raise ModelError for any other."""
    files = request.files
    pickled = _only_estimator(request, files)
    estimator = pickled.estimator
    assert estimator is not None
    if pickled.walked.files and request.path.is_file():
        what = f"has arrays in {len(pickled.walked.files)} files beside it"
        raise ModelError(Issue(pickled.file.path, what, f"point to the folder: {str(request.path.parent)!r}"))
    from_sklearn = estimator.module.startswith("sklearn.")
    found = requirements_of(pickled, request.first_party)
    requirements_file = requirements_beside(request.path)
    return ModelFacts(
        root=request.path,
        format="sklearn",
        flavour=f"{'sklearn' if from_sklearn else estimator.module.partition('.')[0]} {estimator.name}",
        loader="pickle",
        loader_options={
            "file": pickled.file.path,
            "method": estimator.method,
            "serialization": pickled.serialization,
            **truths_of(estimator.signature),
        },
        files=files,
        framework="scikit-learn" if estimator.version else None,
        framework_version=estimator.version,
        signature=estimator.signature,
        requirements=() if requirements_file else found.requirements,
        requirements_file=requirements_file,
        risks=risks_of(pickled),
        modules=tuple(sorted({module for module, _ in pickled.walked.names})),
        code=request.code,
        notes=notes_of(pickled),
        missing=() if requirements_file else found.unknown,
        saved_with=saved_with(pickled),
    )


def _only_estimator(request: Request, files: tuple[ModelFile, ...]) -> Pickled:
    """Find the one file that holds an estimator."""
    alone = request.path.is_file()
    estimators: list[Pickled] = []
    issues: list[Issue] = []
    for file in files if alone else filter(is_pickled, files):
        try:
            pickled = follow(file, request.first_party)
        except ModelError as error:
            issues += error.issues if is_pickled(file) else (_no_pickle(file, error),)
            continue
        if pickled.estimator is not None:
            estimators.append(pickled)
        else:
            what = f"holds {_kind(pickled.walked.top)}, not an estimator"
            issues.append(
                Issue(file.path, what, "save the estimator alone, or give an inference routine as code")
            )
    if len(estimators) == 1:
        return estimators[0]
    if estimators:
        names = ", ".join(repr(one.file.path) for one in estimators)
        what = f"holds {len(estimators)} estimators: {names}"
        raise ModelError(
            Issue(str(request.path), what, "point to one of them, or give an inference routine as code")
        )
    raise ModelError(*issues)


def _no_pickle(file: ModelFile, error: ModelError) -> Issue:
    """Say what was expected of a file that does not even begin like a pickle."""
    first = error.issues[0]
    expected = "expected an estimator saved by pickle, joblib or cloudpickle"
    return Issue(first.where, first.what, first.fix or expected) if file.size_bytes else first


def _kind(top: object) -> str:
    names = {
        "dict": "a dict",
        "list": "a list",
        "tuple": "a tuple",
        "str": "a text",
        "Array": "a numpy array",
    }
    return names.get(type(top).__name__, "something else")


def requirements_of(pickled: Pickled, first_party: FirstParty) -> Found:
    """Tell what loading needs, by the modules that the file names and the versions that it tells."""
    names = pickled.walked.names
    modules = {module for module, _ in names if not first_party.has(module)}
    version = pickled.estimator.version if pickled.estimator else None
    pins = _told(pickled)
    if pickled.serialization == "joblib":
        modules = {module for module in modules if not module.startswith("joblib")} | {"joblib"}
        # before 1.2 joblib would take padding for array bytes, and array bytes for instructions
        pins["joblib"] = ">=1.2" if pickled.walked.padded_arrays else ""
        modules |= {"lz4"} & {pickled.compressor}
    of_categories = "xgboost.sklearn" in modules and _find(pickled.file, _CATEGORY) is not None
    if of_categories or (pickled.estimator and pickled.estimator.needs_pandas):
        modules.add("pandas")
    if not modules.isdisjoint(_NEED_SKLEARN):
        modules.add("sklearn")  # XGBoost predicts without it
    numpy = installed_version("numpy") or ""
    same_numpy = {"": True, "<2": numpy.startswith("1."), ">=2": not numpy.startswith("1.")}[
        pins.get("numpy", "")
    ]
    trained_here = version is not None and version == installed_version("scikit-learn") and same_numpy
    found = pickled_requirements(modules, pins, trained_here=trained_here)
    if trained_here:
        return found
    return replace(found, requirements=tuple(_boosters(pickled.file, found.requirements)))


def _boosters(file: ModelFile, requirements: Iterable[Requirement]) -> Iterator[Requirement]:
    """Require those versions of libraries of boosted trees that the model within the pickle tells."""
    for one in requirements:
        if one.text not in {"catboost", "lightgbm", "xgboost"}:
            yield one
            continue
        mark = _RELEASES.get(one.text)
        match = _find(file, mark) if mark else None
        told = ".".join(map(_number, match)) if match else None
        yield library(one.text, told)


def _number(told: bytes) -> str:
    """Read a number that is a byte, in protocol 0 perhaps an escaped one; CatBoost's release is text."""
    if told == b"\\u0000":
        return "0"
    return str(told[0]) if len(told) == 1 else told.decode()


def _find(file: ModelFile, mark: re.Pattern[bytes]) -> tuple[bytes, ...] | None:
    """Search a file, inflated, from its start to its end."""
    with open_source(file.source, file.path) as (source, _):
        data = b""
        while chunk := source.stream.read(CHUNK_BYTES):
            data = data[-_OVERLAP_BYTES:] + chunk
            if match := mark.search(data):
                return match.groups()
    return None


def saved_with(pickled: Pickled) -> tuple[str, ...]:
    """Tell what the file says of the libraries that wrote it: `numpy<2`, `scikit-learn==1.1.2`."""
    return tuple(f"{name}{versions}" for name, versions in sorted(_told(pickled).items()))


def _told(pickled: Pickled) -> dict[str, str]:
    version = pickled.estimator.version if pickled.estimator else None
    pins = {"scikit-learn": f"=={version}"} if version else {}
    modules = {module for module, _ in pickled.walked.names}
    if any(module.startswith("numpy._core") for module in modules):
        pins["numpy"] = ">=2"
    elif any(module.startswith("numpy.core") for module in modules):
        pins["numpy"] = "<2"
    return pins


def risks_of(pickled: Pickled) -> tuple[Risk, ...]:
    """List the risks; say of what was defined in a script how to provide it."""
    return tuple(map(of_scripts, pickled.walked.risks.values()))


def of_scripts(risk: Risk) -> Risk:
    """Say of what was defined in a script how to provide it, and of what a search drew from to do without."""
    if risk.name.startswith("scipy.stats._discrete_distns."):
        return replace(risk, why="a search drew from it: save its best_estimator_ alone, which does without")
    if risk.name.partition(".")[0] != "__main__":
        return risk
    return replace(
        risk, why="defined in the script that saved the model: move it to a module and ship that as code"
    )


def notes_of(pickled: Pickled) -> tuple[str, ...]:
    """Say in a few words how the file was written."""
    notes = [f"pickle protocol {pickled.walked.protocol}"]
    if pickled.serialization == "joblib":
        notes.append(f"joblib, compressed by {pickled.compressor}" if pickled.compressor else "joblib")
    return tuple(notes)
