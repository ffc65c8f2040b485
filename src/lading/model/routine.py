"""An inference routine of one's own: a folder or file of Python goes in, `ModelFacts` come out.

A routine is `init()` with `run(data)`, a class with `predict` and perhaps `load` or `setup`, or a plain
function; any of them may be async or a generator. It is found in the syntax tree, or named by an entry:
`file.py`, `file.py:function` or `file.py:Class`. Nothing is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, Requirement, Risk
from lading.model import networks, safetensors, saved_model, skops_model
from lading.model.code import FirstParty, imports_of, parse
from lading.model.distributions import distribution_of, installed_requirements
from lading.model.plain import requirements_beside
from lading.model.request import Request
from lading.model.saved import joined
from lading.model.sklearn import (
    follow_data,
    notes_of,
    requirements_of,
    risks_of,
    saved_with,
)
from lading.model.sniff import is_pickled

STYLES = ("init_run", "class", "predictor", "predict", "function")
"""A class that loads; one that only predicts; a function called so; another one. The first found is meant."""
_SURE = ("init_run", "class")
_PERHAPS = frozenset({"predictor", "function"})
"""What may as well be a part of the model that lies beside it."""
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_NAME_A_ROUTINE = (
    "name it: `entry: file.py:function`, `file.py:Class`, or `file.py` with init() and run(data)"
)


@dataclass(frozen=True, slots=True)
class Routine:
    """Where predictions come from."""

    file: Path
    name: str | None
    """The function or class; None for init and run."""
    style: str
    """One of STYLES."""

    @property
    def entry(self) -> str:
        """Print the entry, relative to the code."""
        return f"{self.file.name}:{self.name}" if self.name else self.file.name


def recognise(request: Request) -> bool:
    """Tell whether code is named, or lies in the folder without being the model's neighbour only."""
    code = _code(request)
    if saved_model.is_asked(request):
        return False
    if request.entry is not None or request.path == code:
        return request.entry is not None or code.suffix == ".py" or _has_routine(request, code)
    if code.suffix == ".py":
        # modules of a model's own classes need no routine: it is the model that predicts
        styles = {one.style for one in _routines(code, parse(code, code.name))}
        if styles and styles <= _PERHAPS and _is_named(request, code.stem):
            return False
        return bool(styles) or not _holds_object(request)
    return _has_routine(request, code)


def _is_named(request: Request, module: str) -> bool:
    """Tell whether a model names a class or function of a module, by which it is made."""
    try:
        risks = _pickles(request, FirstParty(None)).risks
    except ModelError:
        return False
    return any(one.name.startswith(f"{module}.") for one in risks)


def _has_routine(request: Request, code: Path) -> bool:
    """Tell whether a folder has an inference routine, and not only what stands beside a model."""
    if request.code is None and (request.path / "MLmodel").exists():
        return False
    routines = list(_routines_in(code)) if code.is_dir() else []
    if any(one.style in _SURE for one in routines):
        return True
    # any other function or class beside an estimator may be anything, such as the training script's
    return bool(routines) and not _holds_object(request)


def _holds_object(request: Request) -> bool:
    """Tell whether a file is an object that could predict by itself."""
    return any(
        networks.predicts(one, request.first_party)
        or skops_model.is_one(one)
        or (is_pickled(one) and not networks.is_torch(one))
        for one in request.files
    )


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of a routine; raise ModelError where there is none, or more than one."""
    code = _code(request)
    routine = _named(code, request.entry) if request.entry else _only(code)
    folder = code if code.is_dir() else code.parent
    imports = imports_of(routine.file, code)
    installed = installed_requirements(imports.needed)
    optional = installed_requirements(imports.optional)
    files = request.files
    pickles = _pickles(request, FirstParty(code))
    requirements = {distribution_of(one): one for one in (*optional.requirements, *installed.requirements)}
    for one in pickles.requirements:
        # what the file says of itself is stronger than what happens to be installed
        if "==" in one.text or distribution_of(one) not in requirements:
            requirements[distribution_of(one)] = one
    requirements_file = requirements_beside(folder) or requirements_beside(request.path)
    entry = routine.file.relative_to(folder).as_posix() + (f":{routine.name}" if routine.name else "")
    return ModelFacts(
        root=request.path,
        format="python",
        flavour=f"python {entry}",
        loader="routine",
        files=files,
        framework=pickles.framework and "scikit-learn",
        framework_version=pickles.framework,
        requirements=()
        if requirements_file
        else tuple(sorted(requirements.values(), key=lambda one: one.text)),
        requirements_file=requirements_file,
        risks=pickles.risks,
        modules=tuple(sorted(imports.top_level)),
        code=code,
        entry=entry,
        notes=pickles.notes,
        missing=() if requirements_file else (*pickles.missing, *installed.unknown),
        saved_with=pickles.saved_with,
    )


def _code(request: Request) -> Path:
    return request.code or request.path


@dataclass(frozen=True, slots=True)
class _Pickles:
    """What the pickles among a routine's data tell."""

    requirements: tuple[Requirement, ...] = ()
    risks: tuple[Risk, ...] = ()
    notes: tuple[str, ...] = ()
    framework: str | None = None
    missing: tuple[str, ...] = ()
    saved_with: tuple[str, ...] = ()


def _pickles(request: Request, first_party: FirstParty) -> _Pickles:
    """Walk what lies there for the routine to load: it is the author's, that may not be."""
    requirements: list[Requirement] = []
    risks: list[Risk] = []
    notes: list[str] = []
    missing: list[str] = []
    written: list[str] = []
    framework = None
    for pickled in follow_data(request.files, first_party):
        if isinstance(pickled, Risk):
            risks.append(pickled)
            continue
        found = requirements_of(pickled, first_party)
        requirements += found.requirements
        risks += risks_of(pickled)
        missing += found.unknown
        written += saved_with(pickled)
        notes += (f"{pickled.file.path}: {note}" for note in notes_of(pickled)[:2])
        if pickled.estimator and pickled.estimator.version:
            framework = pickled.estimator.version
    if absent := safetensors.missing(request.files):
        raise ModelError(*absent)
    for seen in networks.look(request.files, first_party):
        risks += seen.risks
        notes += filter(None, [seen.note])
    told = (tuple(missing), joined(written))
    return _Pickles(tuple(requirements), tuple(risks), tuple(notes), framework, *told)


def _named(code: Path, entry: str) -> Routine:
    """Find the routine that an entry names."""
    file_name, _, name = entry.partition(":")
    folder = code if code.is_dir() else code.parent
    file = folder / file_name
    if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
        there = ", ".join(sorted(repr(one.name) for one in folder.glob("*.py"))) or "no Python file"
        raise ModelError(
            Issue(f"entry {entry!r}", f"no file {file_name!r} in {str(folder)!r}", f"there is {there}")
        )
    tree = parse(file, file_name)
    if not name:
        return _only_of(_routines(file, tree), f"entry {entry!r}")
    for node in tree.body:
        if isinstance(node, _Function) and node.name == name:
            return Routine(file, name, "function")
        if isinstance(node, ast.ClassDef) and node.name == name:
            if "predict" not in _methods(node) and not node.bases:
                raise ModelError(
                    Issue(f"entry {entry!r}", "a class without a method 'predict'", "give it one")
                )
            return Routine(file, name, "class")
    defined = [node.name for node in tree.body if isinstance(node, (*_Function, ast.ClassDef))]
    there = ", ".join(map(repr, defined)) or "no function or class"
    raise ModelError(
        Issue(f"entry {entry!r}", f"{name!r} is not defined in {file_name!r}", f"it defines {there}")
    )


def _only(code: Path) -> Routine:
    """Find the one routine in a file, or in the files at the top of a folder."""
    if not code.is_dir():
        return _only_of(_routines(code, parse(code, code.name)), code.name)
    return _only_of(_routines_in(code), str(code))


def _routines_in(folder: Path) -> Iterator[Routine]:
    for file in sorted(folder.glob("*.py")):
        yield from _routines(file, parse(file, file.name))


def _only_of(found: Iterator[Routine], where: str) -> Routine:
    """Choose the first style that there is; raise ModelError where several are of it."""
    routines = list(found)
    for style in STYLES:
        of_style = [one for one in routines if one.style == style]
        if len(of_style) == 1:
            return of_style[0]
        if of_style:
            names = ", ".join(repr(one.entry) for one in of_style)
            raise ModelError(Issue(where, f"more than one inference routine: {names}", _NAME_A_ROUTINE))
    raise ModelError(Issue(where, "no inference routine", _NAME_A_ROUTINE))


def _routines(file: Path, tree: ast.Module) -> Iterator[Routine]:
    """List what could be an inference routine at the top level of a file."""
    functions = {node.name: node for node in tree.body if isinstance(node, _Function)}
    if {"init", "run"} <= functions.keys() and _takes(functions["run"]):
        yield Routine(file, None, "init_run")
    for node in tree.body:
        methods = _methods(node) if isinstance(node, ast.ClassDef) else set()
        # what can be fitted is an estimator, which a routine may use
        if isinstance(node, ast.ClassDef) and "predict" in methods and "fit" not in methods:
            yield Routine(file, node.name, "class" if methods & {"load", "setup"} else "predictor")
    for name, function in functions.items():
        if not name.startswith("_") and name not in {"init", "main"} and _takes(function):
            yield Routine(file, name, "predict" if name == "predict" else "function")


def _methods(node: ast.ClassDef) -> set[str]:
    return {one.name for one in node.body if isinstance(one, _Function)}


def _takes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args
    several = (arguments.args, arguments.posonlyargs, arguments.vararg, arguments.kwonlyargs, arguments.kwarg)
    return any(several)
