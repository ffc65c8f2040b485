"""A cargo in; the recipes of links to what is fetched at start, of what fetches it, and of inputs, out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lading.core.bill import Bill
from lading.core.server import NATIVE
from lading.core.spec import Input
from lading.layers import environment, files
from lading.layers.cargo import Cargo
from lading.layers.file_digests import FileDigests
from lading.layers.recipe import Recipe, of_files, of_link

LINKS = "tmp/lading"
"""What the launcher (`lading_runtime.download`) lays links in, to what it has fetched."""
LAUNCHER = f"/{environment.SERVER}/lading_runtime/download/__main__.py"
"""What starts a server that is not ours once all is there."""
_NEEDED = ("__init__.py", "bill.py", "log.py")


def recipes(cargo: Cargo, digests: FileDigests) -> Iterator[Recipe]:
    """Return them in order; inputs that are copied are layers as assets are."""
    if cargo.model_comes:
        there = _linked(cargo)
        yield of_link("model", "link to what is fetched", there, f"{LINKS}/model")
    for number, one in enumerate(cargo.inputs):
        title = f"input {one.path}"
        if one.mode == "copy":
            yield of_files("assets", title, contents(one, digests))
        else:
            yield of_link("assets", title, one.path[1:], f"{LINKS}/inputs/{number}")
    comes = cargo.model_comes or any(one.mode == "download" for one in cargo.inputs)
    if comes and cargo.server != NATIVE:
        yield of_files("server", "launcher", files.contents(_launcher(cargo), digests))


def contents(one: Input, digests: FileDigests) -> tuple[files.Content, ...]:
    """List the files of an input, by their paths in the image."""
    return files.contents(files.walk(one.source, one.path[1:]), digests)


def _linked(cargo: Cargo) -> str:
    """Return what is a link to what is fetched: the model's folder, or the one around it that scripts walk.

    Azure ML's layout has one around a folder (AZUREML_MODEL_DIR), in which other things may lie.
    """
    model, around = cargo.model_path or f"/{environment.MODEL}", cargo.model_around
    others = (cargo.code_path, *cargo.server_files, *(one.path for one in cargo.inputs))
    if not around or not model.startswith(f"{around}/"):
        return model[1:]
    return (model if any(f"{one}/".startswith(f"{around}/") for one in others) else around)[1:]


def links(bill: Bill) -> Iterator[tuple[str, str]]:
    """List the links that a package may have to what its start fetches: where each lies, and leads."""
    if bill.model.mode == "download":
        for there in (bill.model.path, bill.model.path.rpartition("/")[0]):  # either, see _linked
            yield there[1:], f"/{LINKS}/model"
    for number, one in enumerate(bill.inputs):
        if one.mode == "download":
            yield one.path[1:], f"/{LINKS}/inputs/{number}"


def _launcher(cargo: Cargo) -> Iterator[tuple[str, Path]]:
    """List the runtime's files that fetch; they need the standard library alone, of any Python from 3.8."""
    for path, source in environment.runtime(environment.SERVER, cargo.lock.interpreter):
        inside = path.partition("/lading_runtime/")[2]
        if inside in _NEEDED or inside.startswith("download/"):
            yield f"{environment.SERVER}/lading_runtime/{inside}", source
