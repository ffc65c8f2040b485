"""A cargo in; the recipes of its layers, in their order in the image, out. Nothing is fetched or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lading.core.bases import BaseImage
from lading.core.errors import Issue, SpecError
from lading.core.image import Kind
from lading.core.lock import (
    Interpreter,
    LockedBase,
    LockedConda,
    LockedWheel,
    PlatformLock,
)
from lading.core.server import NATIVE
from lading.layers import (
    archive,
    arriving,
    completion,
    conda,
    deb,
    environment,
    files,
    overlap,
    root,
    slim,
    system,
    wheel,
)
from lading.layers.cargo import Cargo
from lading.layers.file_digests import FileDigests
from lading.layers.grouping import group
from lading.layers.overlap import Overlap, OverlapError
from lading.layers.recipe import Package, Recipe, of_files, of_link, of_texts
from lading.layers.tar import LayerWriter

LAYERS_MAX = 60  # some engines break near 70
_RESERVED = 3  # byte code of both environments and the bill, which are made later
_DEBS_ALONE, _DEBS_SHARED = 34, 8
_DEBS_ADDED = 36
"""Layers that an image and what is added to it have together, if the image leaves that room."""
_WHEELS_ALONE, _WHEELS_SHARED = 4, 2
_CONDA_ALONE_MOST = 8
_WHEELS_ALONE_BESIDE_CONDA = 1
_BASE_MANY, _BASE_MAX = 36, 44
"""With so many layers of an image below there is room for few of ours."""
_BIG_FILE_BYTES = 64 << 20
CODE = "opt/lading/code"
ASSETS = "opt/lading/assets"


def recipes(cargo: Cargo, digests: FileDigests, overlaps: Sequence[Overlap] = ()) -> list[Recipe]:
    """Return the recipes of an image's layers, those that change least first; at most LAYERS_MAX in all.

    `overlaps` says which wheels leave out what; where it is not so, writing the layer of the environments
    raises OverlapError. Raises SpecError and ModelError for files that cannot be packed.
    """
    image = len(cargo.base.layers) if cargo.base else 0
    if image > _BASE_MAX:
        what = f"its image has {image} layers, expected at most {_BASE_MAX}"
        raise SpecError(Issue("base", what, "squash it: podman build --squash-all"))
    below = [*_base(cargo), *_interpreters(cargo)]
    found = [_skeleton(cargo, overlaps)]
    alone = _WHEELS_ALONE_BESIDE_CONDA if cargo.lock.conda else _WHEELS_ALONE
    alone, shared = (alone, _WHEELS_SHARED) if image <= _BASE_MANY else (0, 1)
    found += _wheels(
        cargo.lock.model, model_environment(cargo), "environment", overlaps, alone=alone, shared=shared
    )
    if cargo.server == NATIVE:
        # the server's packages change with lading alone: one layer
        found += _wheels(cargo.lock.server, _server(cargo), "server", overlaps, alone=0, shared=1)
        runtime = environment.runtime(environment.SERVER, cargo.lock.server_interpreter)
        found.append(of_files("server", "lading runtime", files.contents(runtime, digests)))
    if cargo.code_is_model:
        there = _place(cargo.model_path, environment.MODEL)
        found.append(of_link("code", "code", _place(cargo.code_path, CODE), there))
    elif cargo.code:
        found.append(of_files("code", "code", code(cargo, digests)))
    if cargo.code and cargo.code_path:
        found.append(of_link("server", "link to the code", CODE, cargo.code_path[1:]))
    if cargo.model_path:
        found.append(of_link("server", "link to the model", environment.MODEL, cargo.model_path[1:]))
    if cargo.server_files:
        found.append(of_texts("server", "files of the server", cargo.server_files))
    if cargo.assets:
        found.append(of_files("assets", "assets", assets(cargo, digests)))
    found += arriving.recipes(cargo, digests)
    if cargo.examples:
        found.append(_examples(cargo.examples))
    room = LAYERS_MAX - _RESERVED - image - len(below) - len(found)
    conda_layers = list(_conda(cargo, most=room - 1))
    model = _model(cargo, digests, most=max(1, room - len(conda_layers)))
    return [*below, *conda_layers, *found, *model]


def server_skeleton(lock: PlatformLock) -> Recipe:
    """Lay out the server's environment alone, for an image without a model."""
    return _one_skeleton("server", "server's environment", environment.SERVER, lock.server_interpreter)


def lean(lock: PlatformLock, names: Collection[str], *, is_slim: bool) -> list[Recipe]:
    """Lay out the model's environment with some of its wheels alone, a layer each."""
    target = model_environment(Cargo(lock, NATIVE, slim=is_slim))
    chosen = sorted(one for one in lock.model if one.name in names)
    skeleton = _one_skeleton("environment", "model's environment", environment.ENV, lock.interpreter)
    return [skeleton, *(_wheel_layer((one,), target, "environment", ()) for one in chosen)]


def _one_skeleton(kind: Kind, title: str, prefix: str, interpreter: Interpreter) -> Recipe:
    def write(_: Sequence[Path], writer: LayerWriter) -> None:
        environment.write(prefix, interpreter, writer)

    made_from = {"skeleton": [prefix, interpreter.path, interpreter.version]}
    return Recipe(kind, title, made_from, write)


def code(cargo: Cargo, digests: FileDigests) -> tuple[files.Content, ...]:
    """List the routine's files, none where they are among the model's."""
    if cargo.code is None or cargo.code_is_model:
        return ()
    return files.contents(files.walk(cargo.code, _place(cargo.code_path, CODE)), digests)


def assets(cargo: Cargo, digests: FileDigests) -> tuple[files.Content, ...]:
    """List the files of the assets."""
    return files.contents(_assets(cargo.assets), digests)


def _place(asked: str | None, own: str) -> str:
    """Return the folder in the image, without its leading slash."""
    return asked[1:] if asked else own


def model_environment(cargo: Cargo) -> wheel.Target:
    """Return where a cargo's own wheels are installed."""
    lock = cargo.lock
    libc = lock.base.libc.name
    return wheel.Target(environment.ENV, lock.interpreter.minor, lock.platform, libc, slim=cargo.slim)


def _server(cargo: Cargo) -> wheel.Target:
    lock = cargo.lock
    minor = lock.server_interpreter.minor
    return wheel.Target(environment.SERVER, minor, lock.platform, lock.base.libc.name)


def _base(cargo: Cargo) -> Iterator[Recipe]:
    """Give each Debian package a layer, or share some where they are many; then what ties them together."""
    if cargo.base:
        if recipe := completion.recipe(cargo.base):
            yield Recipe("base", "user and /tmp", *recipe)
        yield from _system(cargo.base, cargo.lock.base)
        return
    debs = cargo.lock.base.packages
    few = len(debs) <= _DEBS_ALONE + _DEBS_SHARED
    grouped = group(debs, alone=len(debs) if few else _DEBS_ALONE, shared=_DEBS_SHARED)

    def write(paths: Sequence[Path], writer: LayerWriter) -> None:
        for path in paths:
            deb.write(path, writer)

    for packages in sorted(grouped, key=lambda one: one[0].name):
        yield Recipe("base", _title(packages), {"debs": _digests(packages)}, write, packages)
    packages = tuple(sorted(debs))
    made_from = {"root": _digests(packages), "version": root.VERSION}
    yield Recipe("base", cargo.lock.base.reference, made_from, root.write, packages)


def _system(image: BaseImage, base: LockedBase) -> Iterator[Recipe]:
    """Give what is added to an image a layer each while there is room; then what ties it to the image."""
    room = max(1, _DEBS_ADDED - len(image.layers))
    shared = min(_DEBS_SHARED, room) if len(base.packages) > room else 0
    is_merged = image.distribution.is_merged

    def write(paths: Sequence[Path], writer: LayerWriter) -> None:
        for path in paths:
            deb.write(path, writer, merged=is_merged)

    def tie(paths: Sequence[Path], writer: LayerWriter) -> None:
        system.write(paths, image.distribution, writer)

    for packages in group(base.packages, alone=room - shared, shared=shared) if base.packages else ():
        made_from: dict[str, Any] = {"debs": _digests(packages)}
        if not is_merged:
            made_from["merged"] = False
        yield Recipe("base", _title(packages), made_from, write, packages)
    if base.packages and base.image:
        packages = tuple(sorted(base.packages))
        made_from = {"system": _digests(packages), "on": str(base.image.digest), "version": system.VERSION}
        yield Recipe("base", "system packages", made_from, tie, packages)


def _interpreters(cargo: Cargo) -> Iterator[Recipe]:
    """Lay out the interpreters that the base does not bring."""
    lock = cargo.lock
    for one in dict.fromkeys((lock.interpreter, lock.server_interpreter)):
        if packed := one.archive:
            program = f"bin/python{one.minor}"
            prefix = one.path[1:].removesuffix(f"/{program}")
            made_from = {"archive": str(packed.digest), "prefix": prefix}
            write = partial(_write_archive, prefix, program)
            yield Recipe("interpreter", f"Python {one.version}", made_from, write, (packed,))


def _conda(cargo: Cargo, most: int) -> Iterator[Recipe]:
    """Lay out conda packages, the interpreter among them: the largest in a layer each, the rest in one."""
    lock = cargo.lock
    alone = min(_CONDA_ALONE_MOST, max(0, most - 1))
    target = conda.Target(environment.CONDA, lock.interpreter.minor)
    for group_of in group(lock.conda, alone=alone, shared=1):
        made_from = {
            "conda": [[one.name, one.version, one.build, str(one.digest)] for one in group_of],
            "target": [target.prefix, target.python],
        }
        write = partial(_write_conda, group_of, target)
        yield Recipe("interpreter", f"conda {_title(group_of)}", made_from, write, group_of)


def _write_conda(
    packages: Sequence[LockedConda], target: conda.Target, paths: Sequence[Path], writer: LayerWriter
) -> None:
    conda.write(zip(packages, paths, strict=True), target, writer)


def _write_archive(prefix: str, program: str, paths: Sequence[Path], writer: LayerWriter) -> None:
    archive.write(paths[0], prefix, program, writer)


def _shares(cargo: Cargo, target: wheel.Target) -> bool:
    """Tell whether an environment sees the interpreter's own packages: the model's does conda's."""
    return bool(cargo.lock.conda) and target.prefix == environment.ENV


def environments(cargo: Cargo) -> dict[str, Any]:
    """Say (in JSON values) what the environments are made from: all their wheels, and their interpreters."""
    return {
        "environments": [
            [target.prefix, _digests(wheels), [interpreter.path, interpreter.version], *_slim(target)]
            for target, wheels, interpreter in _parts(cargo)
        ]
    }


def _slim(target: wheel.Target) -> list[Any]:
    """Say (in JSON values) that wheels are not whole, and by which rules; nothing where they are."""
    return [{"slim": slim.VERSION}] if target.slim else []


def _parts(cargo: Cargo) -> list[tuple[wheel.Target, tuple[LockedWheel, ...], Interpreter]]:
    parts = [(model_environment(cargo), tuple(sorted(cargo.lock.model)), cargo.lock.interpreter)]
    if cargo.server == NATIVE:
        parts.append((_server(cargo), tuple(sorted(cargo.lock.server)), cargo.lock.server_interpreter))
    return parts


def _skeleton(cargo: Cargo, overlaps: Sequence[Overlap]) -> Recipe:
    """Lay out the environments, once it is known that their wheels overlap as was foreseen."""
    parts = _parts(cargo)

    def write(paths: Sequence[Path], writer: LayerWriter) -> None:
        brought = iter(paths)
        found: list[Overlap] = []
        for target, wheels, interpreter in parts:
            plans = [wheel.plan(next(brought), target, filename=one.filename) for one in wheels]
            found += overlap.find(plans, environment.paths(target.prefix, interpreter))
        if sorted(found) != sorted(overlaps):
            raise OverlapError(found)
        writer.symlink("models", f"/{environment.MODEL}")
        for target, _, interpreter in parts:
            shares = _shares(cargo, target)
            environment.write(target.prefix, interpreter, writer, shares=shares)

    made_from = environments(cargo)
    if overlaps:
        made_from["overlaps"] = sorted(map(list, overlaps))
    packages = tuple(one for _, wheels, _ in parts for one in wheels)
    return Recipe("environment", "environments", made_from, write, packages)


def _wheels(
    wheels: Sequence[LockedWheel],
    target: wheel.Target,
    kind: Kind,
    overlaps: Sequence[Overlap],
    *,
    alone: int = _WHEELS_ALONE,
    shared: int = _WHEELS_SHARED,
) -> list[Recipe]:
    return [_wheel_layer(one, target, kind, overlaps) for one in group(wheels, alone=alone, shared=shared)]


def _wheel_layer(
    wheels: tuple[LockedWheel, ...], target: wheel.Target, kind: Kind, overlaps: Sequence[Overlap]
) -> Recipe:
    left_out = {one.filename: overlap.left_out(overlaps, one.filename, target.prefix) for one in wheels}

    def write(paths: Sequence[Path], writer: LayerWriter) -> None:
        pairs = zip(paths, [one.filename for one in wheels], strict=True)
        plans = [wheel.plan(path, target, filename=name, left_out=left_out[name]) for path, name in pairs]
        overlap.find(plans, ())  # names the wheels where a file and a folder cannot be laid out together
        wheel.write_all(plans, writer)

    made_from: dict[str, Any] = {
        "wheels": [[one.filename, str(one.digest)] for one in wheels],
        "target": [target.prefix, target.python, str(target.platform), *_slim(target)],
    }
    # a wheel that keeps all its files is the same layer in whatever company
    if missing := {name: paths for name, paths in left_out.items() if paths}:
        made_from["left_out"] = missing
    return Recipe(kind, _title(wheels), made_from, write, wheels)


def _assets(assets: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    counted = Counter(path.name for path in assets)
    issues = [Issue("assets", f"{name!r} comes {n} times") for name, n in counted.items() if n > 1]
    if issues:
        raise SpecError(*issues)
    for path in assets:
        yield from files.walk(path, f"{ASSETS}/{path.name}" if path.is_dir() else ASSETS)


def _examples(examples: Sequence[bytes]) -> Recipe:
    named = {f"/opt/lading/examples/{index}.json": data for index, data in enumerate(examples)}
    return of_texts("assets", "examples", named)


def _model(cargo: Cargo, digests: FileDigests, most: int) -> list[Recipe]:
    """Give each big file of a model a layer while there is room; the small ones share the last."""
    if cargo.model_comes:
        return []
    prefix = f"{_place(cargo.model_path, environment.MODEL)}/"
    pairs = [(f"{prefix}{one.path}", one.source) for one in cargo.model]
    contents = files.contents(pairs, digests)
    by_size = sorted(contents, key=lambda one: (-one.size_bytes, one.path))
    big = [one for one in by_size if one.size_bytes >= _BIG_FILE_BYTES][: most - 1]
    rest = [one for one in contents if one not in big]
    layers = [of_files("model", "model", rest)] if rest else []
    return layers + [of_files("model", f"model {one.path.removeprefix(prefix)}", [one]) for one in big]


def _digests(packages: Sequence[Package]) -> list[str]:
    return [str(one.digest) for one in packages]


def _title(packages: Sequence[Package]) -> str:
    """Return `numpy 2.4.6`, or `attrs, click and 3 more`."""
    if len(packages) == 1:
        return f"{packages[0].name} {packages[0].version}"
    names = [one.name for one in packages]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more
