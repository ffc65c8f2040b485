"""Files of networks beside code or an MLmodel in; what they hold, and what of it could run code, out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lading.core.errors import ModelError
from lading.core.model import ModelFile, Risk
from lading.model import keras, safetensors, saved_model, torch_export, torch_walk, torchscript
from lading.model.code import FirstParty
from lading.model.sklearn import of_scripts


@dataclass(frozen=True, slots=True)
class Seen:
    """What a file tells."""

    risks: tuple[Risk, ...] = ()
    note: str = ""


def look(files: Iterable[ModelFile], first_party: FirstParty) -> Iterator[Seen]:
    """Look at every file of a network; one that cannot be followed is a risk."""
    for file in files:
        for is_one, seen in _FORMS:
            if not is_one(file):
                continue
            try:
                yield seen(file, first_party)
            except ModelError as error:
                issue = error.issues[0]
                yield Seen((Risk(issue.where, file.path, f"a file that cannot be followed: {issue.what}"),))
            break


def risks(files: Iterable[ModelFile], first_party: FirstParty) -> list[Risk]:
    """List what of such files could run code."""
    return [risk for seen in look(files, first_party) for risk in seen.risks]


def is_torch(file: ModelFile) -> bool:
    """Tell whether a file is one of `torch.save`."""
    return torch_walk.is_one(file)


def predicts(file: ModelFile, first_party: FirstParty) -> bool:
    """Tell whether a file is a network that can be asked: any but weights alone."""
    if not is_torch(file):
        return any(
            one(file) for one in (saved_model.is_one, keras.is_one, torchscript.is_one, torch_export.is_one)
        )
    try:
        return torch_walk.follow(file, first_party).is_module
    except ModelError:
        return True


def _torch(file: ModelFile, first_party: FirstParty) -> Seen:
    found = torch_walk.follow(file, first_party)
    return Seen(tuple(map(of_scripts, found.walked.risks.values())), f"{file.path}: {found.weights}")


def _script(file: ModelFile, _: FirstParty) -> Seen:
    return Seen(torchscript.look(file).risks, f"{file.path}: TorchScript")


def _program(file: ModelFile, _: FirstParty) -> Seen:
    return Seen(torch_export.look(file).risks, f"{file.path}: torch.export")


def _safetensors(file: ModelFile, _: FirstParty) -> Seen:
    return Seen((), f"{file.path}: {safetensors.look(file)}")


def _keras(file: ModelFile, first_party: FirstParty) -> Seen:
    network = keras.look(file, first_party)
    return Seen(network.risks, f"{file.path}: Keras {network.version or ''}".rstrip())


def _saved_model(file: ModelFile, _: FirstParty) -> Seen:
    graph = saved_model.look(file)
    return Seen(graph.risks, f"{file.path}: TensorFlow {graph.version or ''}".rstrip())


_FORMS: tuple[tuple[Callable[[ModelFile], bool], Callable[[ModelFile, FirstParty], Seen]], ...] = (
    (safetensors.is_one, _safetensors),
    (saved_model.is_one, _saved_model),
    (keras.is_one, _keras),
    (torchscript.is_one, _script),
    (torch_export.is_one, _program),
    (torch_walk.is_one, _torch),
)
