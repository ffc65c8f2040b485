"""The name of a base goes in; what of it a package gets comes out: pinned, fetched, read, never run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lading import bases
from lading.core import canonical, typed
from lading.core.bases import BaseImage, BaseName
from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LadingError, LockError, RegistryError, SpecError
from lading.core.lock import BaseFacts, LockedBase
from lading.core.platform import Platform
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.core.spec import PackageSpec
from lading.layers.cache import key, remember
from lading.layers.compress import BLOCK_BYTES, compressor
from lading.layers.root import BUNDLE
from lading.pipeline import shelf, system
from lading.pipeline.context import Context
from lading.pipeline.transfer import fetch_image
from lading.sandbox import flatten
from lading.store import documents, saved

MANIFEST_PATH = "/opt/lading/base/manifest.json"
CONFIG_PATH = "/opt/lading/base/config.json"
_READ_FORMAT = 2
"""Raise it whenever the same image is read otherwise."""


def mapped(context: Context, what: PackageSpec) -> PackageSpec:
    """Take the base that the configuration has in the place of the one that a spec names, and tell."""
    name = what.base
    if name is None or name.form != "image":
        return what
    reference = Reference.parse(name.name)
    patterns = sorted(context.settings.bases, key=lambda one: "*" in one)  # what is named in full comes first
    pattern = next((one for one in patterns if _is_named(reference, one)), None)
    if pattern is None:
        return what
    try:
        base = BaseName.parse(context.settings.bases[pattern], Path.cwd())
    except SpecError as error:
        raise SpecError(
            *(Issue(f"[bases] {pattern!r}", one.what, one.fix) for one in error.issues)
        ) from error
    context.events(Event("base", "stage", f"{name} is mapped to {base} in the configuration"))
    return replace(what, base=base)


def _is_named(reference: Reference, pattern: str) -> bool:
    """Tell whether a pattern names an image: in full or as people write it, with its tag or without."""
    hub = f"{reference.registry}/{reference.repository}"
    names = {hub, hub.removeprefix("docker.io/"), hub.removeprefix("docker.io/library/")}
    end = f":{reference.tag}" if reference.tag else ""
    digest = f"@{reference.digest}" if reference.digest else ""
    return any(
        fnmatchcase(f"{one}{more}", pattern) for one in names for more in ("", end, end + digest, digest)
    )


def resolve(
    context: Context,
    name: BaseName | None,
    reference: str,
    platform: Platform,
    *,
    system_packages: Sequence[str] = (),
) -> BaseFacts:
    """Pin a base for a platform and read it; `reference` is that of the default where none is named.

    LockError where no package can be laid upon it, SpecError where there is no such image or platform.
    """
    if name is None or name.form == "debian":
        return context.base(reference, platform, system_packages=system_packages)
    context.events(Event("base", "step", f"reading {name} for {platform}"))
    manifest = _bring(context, name, platform)
    pinned = Descriptor(manifest.media_type, manifest.digest, manifest.size_bytes)
    _, found = _read(context, pinned, platform, str(name))
    suite, debs = system.add(context, found.distribution, platform, system_packages, str(name))
    return BaseFacts(LockedBase(str(name), suite, debs, found.libc, pinned), found.interpreters)


def ensure(context: Context, name: BaseName | None, base: LockedBase, platform: Platform) -> None:
    """Have the pinned image of a base in the store, whatever its name means by now.

    Raises LockError where it is not what was pinned, RegistryError where it cannot be had.
    """
    if base.image is None or is_whole(context, base.image):
        return
    if name is not None and name.path is not None:
        if _bring(context, name, platform).digest != base.image.digest:
            what = f"{base.reference} is not the image that was locked any more"
            raise LockError(Issue("base", what, "run `lading lock`, or bring the old one back"))
        return
    try:
        reference = Reference.parse(base.reference)
    except SpecError:
        reference = Reference(None, "")
    if reference.registry is None:
        what = f"{base.reference} ({base.image.digest.short}) is not in the store"
        raise LockError(Issue("base", what, "pull or import it, or name it with --base"))
    _fetch(context, replace(reference, digest=base.image.digest), platform)


def read(context: Context, base: LockedBase, platform: Platform) -> BaseImage | None:
    """Read the image of a base that is in the store; None where the base is none."""
    if base.image is None:
        return None
    settings, found = _read(context, base.image, platform, base.reference)
    layers = documents.children(context.store, base.image)[1:]
    is_brought = any(one.name == "ca-certificates" for one in base.packages)
    return BaseImage(
        bases.layers(layers, settings, base.reference),
        dict(settings.variables),
        found.user,
        settings.working_dir if settings.working_dir not in {"", "/"} else None,
        found.certificates or (f"/{BUNDLE}" if is_brought else None),
        found.passwd,
        found.has_tmp,
        found.distribution,
        settings.entrypoint,
        settings.command,
    )


def travelling(context: Context, base: LockedBase) -> dict[str, bytes]:
    """Give, by their paths in a package, the documents of a base's image: its layers are the package's own.

    With them the package can be made again where nobody knows the base.
    """
    if base.image is None:
        return {}
    config = documents.children(context.store, base.image)[0]
    return {
        MANIFEST_PATH: documents.read(context.store, base.image),
        CONFIG_PATH: documents.read(context.store, config),
    }


def kept(context: Context, age_s: float) -> Iterator[Digest]:
    """List the images that were used as bases within an age: collection spares them."""
    for path in (context.settings.cache / "bases").glob("*.json"):
        if time.time() - path.stat().st_mtime < age_s:
            yield Digest("sha256", path.stem)


def _bring(context: Context, name: BaseName, platform: Platform) -> Descriptor:
    """Have an image in the store, as its name means it now."""
    if name.path is not None:
        return saved.take(
            name.path,
            context.store,
            platform,
            tag=name.tag,
            compress=saved.Compress(compressor("gzip"), BLOCK_BYTES),
            scratch=context.settings.cache / "inflated",
            events=context.events,
        )
    reference = Reference.parse(name.name)
    question = key({"base": str(reference), "platform": str(platform)}, "gzip")
    if context.offline and not reference.digest:
        known = _known(context.layers.recall(question))
        if known is None or not is_whole(context, known):
            what = "was not used here before, and its registry is out of reach offline"
            issue = Issue(str(reference), what, "leave out --offline")
            raise _not_had(context, reference, platform, [issue])
        return known
    found = _fetch(context, reference, platform)
    context.layers.note(question, replace(found, annotations={}).to_json())
    return found


def _fetch(context: Context, reference: Reference, platform: Platform) -> Descriptor:
    try:
        return fetch_image(context, reference, platform)
    except RegistryError as error:
        raise _not_had(context, reference, platform, error.issues) from error


def _not_had(
    context: Context, reference: Reference, platform: Platform, issues: Sequence[Issue]
) -> RegistryError:
    """Name the base that cannot be had, and what else may have been meant: a package, or a mirror's image."""
    ways = []
    names = [str(reference)]
    if reference.registry == "docker.io":  # nobody may have written it
        names.append(str(reference).removeprefix("docker.io/").removeprefix("library/"))
    for name in names:
        with suppress(LadingError):
            shelf.find(context, name, platform)
            ways.append(f"for the package of that name in the store: --base environment:{name}")
    host = reference.registry or ""
    if not (ways or context.offline or host in context.settings.mirrors or ":" in host):
        ways.append(f"name a mirror of {host} in LADING_MIRRORS: {host}=registry.example.com/hub")
    ways.append(
        f'map it to a base that can be had, in the configuration: [bases] "{reference}" = "debian:bookworm"'
    )
    told = []
    for one in issues:
        what = one.what if str(reference) in one.where else f"{one.where}: {one.what}"
        fix = "; or ".join(filter(None, (one.fix, *ways)))
        told.append(Issue("base", f"{reference} cannot be had: {what}", fix or None))
    return RegistryError(*told)


def _known(document: Any) -> Descriptor | None:  # noqa: ANN401 - any JSON value
    try:
        return Descriptor.from_json(document) if isinstance(document, dict) else None
    except IntegrityError:
        return None


def is_whole(context: Context, manifest: Descriptor) -> bool:
    """Tell whether an image is in the store with all that it names."""
    store = context.store
    if store.size_bytes(manifest.digest) != manifest.size_bytes:
        return False
    parts = documents.children(store, manifest)
    return all(store.size_bytes(one.digest) == one.size_bytes for one in parts)


def _read(
    context: Context, manifest: Descriptor, platform: Platform, where: str
) -> tuple[bases.Settings, bases.Found]:
    """Read an image's config, and its files once: what was found is kept."""
    parts = documents.children(context.store, manifest)
    if not parts:
        raise IntegrityError(Issue(where, "is no image: its manifest names nothing"))
    settings = bases.parse(documents.read(context.store, parts[0]), platform, where)
    layers = bases.layers(parts[1:], settings, where)
    path = context.settings.cache / "bases" / f"{manifest.digest.hex}.json"
    try:
        document = canonical.decode(path.read_bytes(), path.name)
        if isinstance(document, dict) and document.get("format") == _READ_FORMAT:
            found = typed.from_json(bases.Found, document.get("found"), path.name)
            remember(path, canonical.encode(document))
            return settings, found
    except (OSError, IntegrityError):
        pass  # it is read anew
    folder = flatten(layers, context.store, context.settings.cache / "unpacked", context.events)
    found = bases.read(folder, settings, platform, where)
    remember(path, canonical.encode({"format": _READ_FORMAT, "found": typed.to_json(found)}))
    return settings, found
