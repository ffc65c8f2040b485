"""A sealed package goes in; what it was made from comes out: its lock, its spec, its facts, its own files.

The files are unpacked from its layers, of which nothing is believed: no path leads out, nothing is a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.core.bases import BaseName
from lading.core.bill import Bill
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.image import Layer
from lading.core.lock import PlatformLock
from lading.core.model import ModelFacts, ModelFile, Requirement
from lading.core.ports import ignore
from lading.core.spec import Input, PackageSpec
from lading.image.bill import CODE_PATH, LOCK_PATH
from lading.layers import arriving
from lading.layers.recipes import ASSETS
from lading.layers.tar import check_path
from lading.lock import sealed
from lading.pipeline import bases, delivery, running, shelf
from lading.pipeline.context import Context
from lading.sandbox.unpack import unpack
from lading.store import documents

_MAX_LOCK_BYTES = 64 << 20
_BESIDE = frozenset({LOCK_PATH, bases.MANIFEST_PATH, bases.CONFIG_PATH})
_OWN = ("model", "code", "assets")


@dataclass(frozen=True, slots=True)
class Recovered:
    """What one platform's image was made from."""

    lock: PlatformLock
    spec: PackageSpec
    facts: ModelFacts
    base: tuple[bytes, ...]
    """Manifest and config of the image that the base is, where it is one."""


def recover(context: Context, package: shelf.Package, folder: Path) -> Recovered:
    """Read lock and bill, and unpack the author's files below `folder`; else IntegrityError."""
    bill = package.bill
    beside = _beside(context, package)
    lock = _lock(package, beside.get(LOCK_PATH))
    own = [layer for layer in package.image.layers if layer.kind in _OWN]
    folders = unpack(own, context.store, folder, ignore)
    _refuse_links(dict(zip(folders, own, strict=True)), bill)
    if bill.model.mode == "download":
        model: Path | None = delivery.kept(context, bill, bill.model.files)
    else:
        model = next((path for one in folders if (path := one / bill.model.path[1:]).is_dir()), None)
    spec = PackageSpec(
        name=bill.name,
        version=bill.version,
        description=bill.description,
        tags=bill.tags,
        # there are servers that are in an image or nowhere
        base=BaseName("image", bill.environment.base) if bill.environment.base_digest else None,
        server=bill.server.name,
        server_settings=bill.server.settings,
        mode=bill.model.mode,
        model_sources=bill.model.sources,
        inputs=tuple(_inputs(context, bill, folders)),
        used=bill.used,
        record=bill.model.record,
        # what is built from source again may want them
        system_packages=bill.environment.system_packages_asked,
        environment_variables=bill.environment.variables,
        accelerator=bill.environment.accelerator,
        assets=tuple(_assets(folders)),
        examples=running.recorded_examples(context, package),
        platforms=(bill.platform,),
        slim=bill.environment.slim is not None,
        compile="off",  # a bill does not tell of a form that was not taken
    )
    base = tuple(beside[path] for path in (bases.MANIFEST_PATH, bases.CONFIG_PATH) if path in beside)
    return Recovered(lock, spec, _facts(bill, folders, model), base)


def read_lock(context: Context, package: shelf.Package) -> PlatformLock:
    """Read the lock of a sealed package; IntegrityError where it has none, or another than its bill says."""
    return _lock(package, _beside(context, package).get(LOCK_PATH))


def bring_base(context: Context, package: shelf.Package) -> None:
    """Have the documents of the image that is a package's base in the store: they lie beside its bill."""
    for path, data in _beside(context, package).items():
        if path != LOCK_PATH:
            documents.write(context.store, data)


def _beside(context: Context, package: shelf.Package) -> dict[str, bytes]:
    """Read what lies beside the bill, by absolute path."""
    found = {}
    where = f"lock of {package.bill.name}"
    with shelf.reading(context, package.image.layers[-1].descriptor, where) as archive:
        for member in archive:
            if f"/{member.name}" in _BESIDE and member.isreg() and member.size <= _MAX_LOCK_BYTES:
                stream = archive.extractfile(member)
                assert stream
                found[f"/{member.name}"] = stream.read()
    return found


def _lock(package: shelf.Package, data: bytes | None) -> PlatformLock:
    """Read the lock that lies beside the bill, and has the digest that the bill says."""
    where = f"lock of {package.bill.name}"
    if data is None:
        what = f"there is no {LOCK_PATH} in it: it was sealed by lading {package.bill.lading}"
        raise IntegrityError(Issue(where, what, "pack it again from its source"))
    if Digest.of(data) != package.bill.lock:
        what = f"got {Digest.of(data)}, and the bill says {package.bill.lock}"
        raise IntegrityError(Issue(where, what))
    return sealed.parse(data, where)


def _refuse_links(layers: dict[Path, Layer], bill: Bill) -> None:
    """Refuse what lading never puts in a layer of files: packing would read where a link leads."""
    allowed = {(_code_path(bill)[1:], bill.model.path), *arriving.links(bill)}
    issues = []
    for folder, layer in layers.items():
        for path in folder.rglob("*"):
            mode = path.lstat().st_mode
            relative = str(path.relative_to(folder))
            if stat.S_ISLNK(mode) and (relative, os.readlink(path)) in allowed:  # noqa: PTH115 - as it is
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                issues.append(Issue(layer.title, f"{relative!r} is neither a file nor a folder"))
    if issues:
        raise IntegrityError(*issues[:5])


def _code_path(bill: Bill) -> str:
    return bill.code.path if bill.code else CODE_PATH


def _facts(bill: Bill, folders: Sequence[Path], model_folder: Path | None) -> ModelFacts:
    model = bill.model
    there = _code_path(bill)[1:]
    code = next((path for one in folders if os.path.lexists(path := one / there)), None)
    root = model_folder or Path(model.path)
    if code and code.is_symlink():  # the routine lies among the model's files
        code = root
    return ModelFacts(
        root=root,
        format=model.format,
        flavour=model.flavour,
        loader=model.loader,
        loader_options=model.loader_options,
        files=tuple(_model_files(bill, folders, model_folder)),
        framework=model.framework,
        framework_version=model.framework_version,
        python=model.python,
        signature=model.signature,
        requirements=tuple(
            Requirement(one.requirement, one.origin, one.mapped_from)  # type: ignore[arg-type] # as billed
            for one in model.requirements
        ),
        risks=model.risks,
        modules=model.modules,
        code=code,
        entry=bill.code.entry if bill.code else None,
        notes=model.notes,
        saved_with=model.saved_with,
    )


def _model_files(bill: Bill, folders: Sequence[Path], model_folder: Path | None) -> Iterator[ModelFile]:
    """Find each file of the model in the layer that has it, or where it was fetched to."""
    missing = []
    for one in bill.model.files:
        path = f"{bill.model.path[1:]}/{one.path}"
        check_path(path)
        comes = bill.model.mode == "download" and model_folder
        places = (model_folder / one.path,) if comes and model_folder else (each / path for each in folders)
        source = next((found for found in places if found.is_file()), None)
        if source is None:
            missing.append(Issue(one.path, "is in the bill, but not in the image"))
        else:
            yield ModelFile(one.path, source, source.stat().st_size)
    if missing:
        raise IntegrityError(*missing)


def _inputs(context: Context, bill: Bill, folders: Sequence[Path]) -> Iterator[Input]:
    """Find each input in the layer that has it, or where it was fetched to."""
    for one in bill.inputs:
        check_path(one.path[1:])
        if one.mode == "download":
            source: Path | None = delivery.kept(context, bill, one.files)
        else:
            source = next((path for each in folders if (path := each / one.path[1:]).is_dir()), None)
        if source is None:
            raise IntegrityError(Issue(one.path, "is in the bill, but not in the image"))
        yield Input(source, one.path, one.mode, one.sources)


def _assets(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        if (assets := folder / ASSETS).is_dir():
            yield from sorted(assets.iterdir())
