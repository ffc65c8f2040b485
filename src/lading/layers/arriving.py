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
        there = cargo.model_path[1:] if cargo.model_path else environment.MODEL
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


def links(bill: Bill) -> Iterator[tuple[str, str]]:
    """List the links of a package to what its start fetches: where each lies, and where it leads."""
    if bill.model.mode == "download":
        yield bill.model.path[1:], f"/{LINKS}/model"
    for number, one in enumerate(bill.inputs):
        if one.mode == "download":
            yield one.path[1:], f"/{LINKS}/inputs/{number}"


def _launcher(cargo: Cargo) -> Iterator[tuple[str, Path]]:
    """List the runtime's files that fetch; they need the standard library alone, of any Python from 3.8."""
    for path, source in environment.runtime(environment.SERVER, cargo.lock.interpreter):
        inside = path.partition("/lading_runtime/")[2]
        if inside in _NEEDED or inside.startswith("download/"):
            yield f"{environment.SERVER}/lading_runtime/{inside}", source
