"""What `torch.save` has written in, `ModelFacts` out: of a whole module; weights alone say what they lack.

The classes of a module's layers have to be PyTorch's own, or the author's, whose modules are shipped as code.
"""

from __future__ import annotations

from dataclasses import replace

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement
from lading.model.distributions import pickled_requirements
from lading.model.flavour import Flavour, Lean
from lading.model.plain import any_file, facts_of, only_file
from lading.model.request import Request
from lading.model.safetensors import bare
from lading.model.sklearn import of_scripts
from lading.model.torch_needs import needed
from lading.model.torch_walk import TorchFile, follow, is_legacy, is_one


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a file of `torch.save`."""
    return any_file(request, is_one)


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of a module; raise ModelError for weights alone, and for what cannot be followed."""
    file = only_file(request, is_one, "files of torch.save")
    found = follow(file, request.first_party)
    if found.inner:
        what = f"holds a module among other things, under {found.inner}, and is none itself"
        saved = f"torch.save(checkpoint{found.inner}, 'model.pth')"
        fix = f"save it alone: {saved}; or give an inference routine as code"
        raise ModelError(Issue(str(request.path), what, fix))
    if not found.is_module:
        raise ModelError(bare(str(request.path), found.weights))
    return _facts(request, file, found)


def weights(request: Request) -> ModelFacts:
    """Tell the facts of what `torch.save` wrote, weights alone too, which nothing can be asked of."""
    file = only_file(request, is_one, "files of torch.save")
    return _facts(request, file, follow(file, request.first_party))


def _facts(request: Request, file: ModelFile, found: TorchFile) -> ModelFacts:
    walked = found.walked
    modules = {module for module, _ in walked.names}
    others = {one for one in modules if one.partition(".")[0] != "torch" and not request.first_party.has(one)}
    known = pickled_requirements(others, {}, trained_here=False)
    facts = facts_of(
        request,
        form="torch",
        name=found.class_name,
        loader="torch_program",
        options={"file": file.path, "form": "module"},
        requirements=_joined(needed(None), known.requirements),
        modules=tuple(sorted(modules | {"torch"})),
        framework="torch",
        risks=tuple(map(of_scripts, walked.risks.values())),
        notes=(str(found.weights), "torch.save's form before 1.6" if is_legacy(file) else "torch.save"),
    )
    return facts if facts.requirements_file else replace(facts, missing=known.unknown)


def _joined(first: tuple[Requirement, ...], more: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
    names = {one.text.partition("=")[0].partition("<")[0] for one in first}
    return (*first, *(one for one in more if one.text.partition("=")[0] not in names))


def by_mlflow(given: Flavour) -> Lean | None:
    """Load as `mlflow.pytorch` does: by the pickler that the model names, on the device that it names."""
    folder = given.file(given.settings.get("model_data"), given.pyfunc.get("data"))
    file = folder and given.file(f"{folder}/model.pth", f"{folder}/model.pt2", folder)
    if not file or (file == folder and folder not in given.files):
        return None
    options: dict[str, object] = {"file": file}
    pickler = given.text(f"{folder}/pickle_module_info.txt")
    if pickler and not file.endswith(".pt2"):
        # MLflow's own pickler only refuses what it does not know; what it has written pickle can read
        options["pickle_module"] = "pickle" if pickler.startswith("mlflow.") else pickler
    device = (given.pyfunc.get("config") or {}).get("device")
    if device:
        options["device"] = device
    return Lean("pytorch", options, (given.pandas,) if given.has_columns else ())
