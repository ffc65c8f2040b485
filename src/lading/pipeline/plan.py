"""A model, a spec file or nothing goes in; the spec, the facts and the question for the resolver come out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lading import lock as locks
from lading import model, servers, spec
from lading.core import accelerator
from lading.core.bases import BaseName
from lading.core.digest import Digest
from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts, Origin, Requirement
from lading.core.platform import Platform
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.core.server import NATIVE, ServerNeeds
from lading.core.spec import (
    CREDENTIALS_FIX,
    DISTRIBUTION,
    DISTRIBUTIONS,
    CompileWay,
    PackageSpec,
    ServerSettings,
    index_problem,
)
from lading.core.tracked import ModelURI, Record, is_tracked
from lading.lock.sources import normalise
from lading.pipeline import delivery, summary
from lading.pipeline.context import Context

# what a model says it needs because of the tool that saved it, and that nothing of ours needs to serve it
_SAVING_TOOLS = ("mlflow", "mlflow-skinny")
# what a way to compile reads models with: pinned by the lock, in the environment of the model alone
_COMPILERS: Mapping[CompileWay, tuple[str, ...]] = {
    # the first with trees of double precision, and with what such trees are called
    "onnx": ("onnx>=1.16", "onnxruntime>=1.21", "skl2onnx>=1.17"),
    "treelite": ("treelite>=4.3",),
}


def plan(target: str | Path | None) -> PackageSpec:
    """Find the spec: a spec file, the one in a folder, the one here, or none for a bare model."""
    if target is not None and is_tracked(str(target)):
        return PackageSpec(model_uri=ModelURI.parse(str(target)))
    path = Path(target or spec.FILE_NAME)
    if path.is_dir() and (path / spec.FILE_NAME).is_file():
        path /= spec.FILE_NAME
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        found = spec.load(path)
        if found.model is None and found.model_uri is None and found.code is None:
            # a spec that lies with the model need not say where it is
            return replace(found, model=path.absolute().parent)
        return found
    if target is None:
        raise SpecError(
            Issue(
                spec.FILE_NAME,
                "there is none here",
                "name a model: `lading pack ./model`, or `lading init ./model`",
            )
        )
    return PackageSpec(model=path.absolute())


def inspect(what: PackageSpec) -> ModelFacts:
    """Read the model's facts; raise ModelError, and SpecError where nothing is named.

    A signature that the author wrote is the model's.
    """
    facts = _inspect(what)
    if what.signature is None:
        return facts
    options = {name: value for name, value in facts.loader_options.items() if name != "truths"}
    return replace(facts, signature=what.signature, loader_options=options)


def _inspect(what: PackageSpec) -> ModelFacts:
    root = what.model or what.code
    if root is None:
        raise SpecError(Issue("model", "nothing is named", "set 'model' or 'code', or name a path"))
    server = servers.find(what.server)
    is_known = server.takes != "either" or model.is_known(root, code=what.code, entry=what.entry)
    if server.takes == "files" or not is_known:
        facts = model.as_files(root, code=what.code, entry=what.entry)
        # what an image of one's own understands nobody else knows
        return facts if server.is_asked_examples else replace(facts, examples=())
    # another server than ours brings MLflow, or the author's own code, to load a model with
    loader = what.loader if what.server == NATIVE else "mlflow"
    return model.inspect(root, code=what.code, entry=what.entry, loader=loader)


def examine(context: Context, what: PackageSpec) -> ModelFacts:
    """Inspect a model, tell what it is, and refuse what is unsafe and not allowed."""
    facts = inspect(what)
    # where the author says what there is to be, what happens to be installed here is no matter
    told = replace(facts, missing=()) if what.requirements else facts
    context.events(Event("inspect", "stage", summary.of_facts(told)))
    model.refuse(facts, what.allow_unsafe)
    return facts


def complete(what: PackageSpec, facts: ModelFacts) -> tuple[PackageSpec, ModelFacts]:
    """Add what the conda file says besides libraries: programs of Debian, variables, what is left out."""
    found = locks.surroundings(_requirements_file(what, facts), solves=what.conda == "solve")
    settled = replace(what, server_settings=_settled(what, facts))
    of_server = servers.find(what.server).needs(settled, facts).system_packages
    completed = replace(
        settled,
        system_packages=tuple(dict.fromkeys((*what.system_packages, *found.system_packages, *of_server))),
        environment_variables={**found.variables, **what.environment_variables},
    )
    return completed, replace(facts, notes=(*facts.notes, *found.notes))


def _settled(what: PackageSpec, facts: ModelFacts) -> ServerSettings:
    """Fix where the model is to lie, which else hangs on names that a sealed package no longer has."""
    settings = what.server_settings
    if what.server == NATIVE:
        return settings
    if facts.root.is_dir() and settings.model_folder is None:
        settings = replace(settings, model_folder=facts.root.name)
    return replace(settings, model_name=settings.model_name or name(what))


def _requirements_file(what: PackageSpec, facts: ModelFacts) -> Path | None:
    """Find the file of requirements: the author's, else the model's own, a conda.yaml where it is solved."""
    if isinstance(what.requirements, Path):
        return what.requirements
    if what.requirements is not None:
        return None
    folder = facts.root if facts.root.is_dir() else facts.root.parent
    if what.conda == "solve" and (beside := folder / "conda.yaml").is_file():
        return beside
    return facts.requirements_file


def server(what: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what the server of a package needs, and what fetches at its start with it."""
    return delivery.launched(servers.find(what.server).needs(what, facts), what)


def question(context: Context, what: PackageSpec, facts: ModelFacts) -> locks.Question:
    """Put together what the resolver is asked: what the author writes, and what the model tells."""
    _refuse_credentials(what)
    _refuse_names(what)
    listed = what.requirements if isinstance(what.requirements, tuple) else ()
    file = _requirements_file(what, facts)
    of_model: Origin = "mlflow" if facts.format == "mlflow" else "spec"
    return locks.Question(
        server=server(what, facts),
        server_version=what.server_settings.version,
        platforms=what.platforms or (Platform.current(),),
        requirements=(
            *(Requirement(text, "spec") for text in (*listed, *_COMPILERS.get(what.compile, ()))),
            *_in_builds(what, facts),
        ),
        requirements_file=file,
        requirements_file_origin="spec" if what.requirements is not None else of_model,
        without=without(what, facts),
        excluded=what.drop,
        python=_python(context, what, facts),
        base=str(what.base) if what.base else None,
        base_digest=_base_digest(context, what.base),
        indexes=what.indexes,
        system_packages=what.system_packages,
        conda=what.conda,
        accelerator=_accelerator(what),
    )


def without(what: PackageSpec, facts: ModelFacts) -> tuple[str, ...]:
    """Name what is left out untried, for our loaders take its place."""
    if facts.loader == "pyfunc" or what.server != NATIVE:
        return ()
    # a pattern such as * keeps what would be tried, and this is not tried: it is known
    return tuple(one for one in _SAVING_TOOLS if one not in map(normalise, what.keep))


def _in_builds(what: PackageSpec, facts: ModelFacts) -> tuple[Requirement, ...]:
    """Choose the builds of what the model's files tell; other servers bring their own libraries' names."""
    accelerator = _accelerator(what)
    return tuple(
        replace(one, text=locks.build_for(one.text, accelerator))
        if one.origin in {"file", "pickle", "installed"} and what.server == NATIVE
        else one
        for one in facts.requirements
    )


def _base_digest(context: Context, base: BaseName | None) -> Digest | None:
    """Tell what lies at a base's path: of an image layout its index, of an archive all of it."""
    if base is None or base.path is None:
        return None
    path = base.path / "index.json" if base.path.is_dir() else base.path
    # what is no image is told of when it is read
    return context.digests.of(path) if path.is_file() else None


def _accelerator(what: PackageSpec) -> str | None:
    """Look at the accelerator once more: that of the command line has not been through a spec file."""
    if what.accelerator and (found := accelerator.problem(what.accelerator)):
        raise SpecError(Issue("accelerator", found))
    return what.accelerator


def _refuse_credentials(what: PackageSpec) -> None:
    """Look at the indexes once more: those of the command line have not been through a spec file."""
    indexes = what.indexes
    problems = [index_problem(url) for url in (indexes.url, *indexes.extra) if url]
    problems += [index_problem(url, is_index=False) for url in indexes.find_links]
    if found := [one for one in problems if one]:
        raise SpecError(*(Issue("indexes", one, CREDENTIALS_FIX) for one in found))


def _refuse_names(what: PackageSpec) -> None:
    """Look at what is dropped and kept once more, and that nothing is both."""
    asked = (("drop", what.drop, DISTRIBUTION), ("keep", what.keep, DISTRIBUTIONS))
    issues = [
        Issue(key, f"got {one!r}, expected a library's name")
        for key, names, pattern in asked
        for one in names
        if not pattern.match(one)
    ]
    kept = {normalise(one) for one in what.keep}
    both = [one for one in what.drop if normalise(one) in kept]
    issues += [Issue("drop", f"{one!r} is to be kept, too", "take it from one of the two") for one in both]
    if what.drop and what.base and what.base.form == "environment":
        text = f"got {', '.join(what.drop)}, but its libraries are those of {what.base}, as they are"
        issues.append(Issue("drop", text, "drop them where that is made"))
    if issues:
        raise SpecError(*issues)


def python_told(context: Context, what: PackageSpec, facts: ModelFacts) -> bool:
    """Tell whether the author, his requirements or the model's files say which Python."""
    return bool(what.python or facts.python or _pythons(context, what, facts)[0])


def _python(context: Context, what: PackageSpec, facts: ModelFacts) -> str | None:
    """Take the author's word, in his requirements too, which are then left to say it (None).

    Else the Python that saved the model; else, when its versions are those installed here and its own
    requirements leave it open, this one.
    """
    saved = ".".join(facts.python.split(".")[:2]) if facts.python else None
    is_installed = any(one.origin == "installed" for one in facts.requirements)
    here = f"{sys.version_info.major}.{sys.version_info.minor}" if is_installed else None
    likely = saved or here
    if what.python or likely is None or (saved and what.requirements is None):
        return what.python or likely
    named, allows = _pythons(context, what, facts)
    return likely if named is None and allows(likely) else None


def _pythons(
    context: Context, what: PackageSpec, facts: ModelFacts
) -> tuple[str | None, Callable[[str], bool]]:
    file = _requirements_file(what, facts)
    return locks.pythons(file, context.environ, solves=what.conda == "solve")


def name(what: PackageSpec) -> str:
    """Name the package: as the spec says, else after the model."""
    return what.name or spec.package_name(what.model or what.code or Path("model"))


def references(what: PackageSpec, names: tuple[str, ...]) -> tuple[Reference, ...]:
    """Read the names asked for; else `name:version` of the spec, or `name:latest`."""
    if names:
        return tuple(dict.fromkeys(map(Reference.parse, names)))
    return (Reference(None, name(what), what.version or "latest"),)


def facts_json(facts: ModelFacts, record: Record | None = None) -> dict[str, Any]:
    """Return facts as JSON values, with how a tracked model was made."""
    document = {**asdict(facts), **({"record": asdict(record)} if record else {})}
    document["signature"] = facts.signature.to_json() if facts.signature else None
    return document
