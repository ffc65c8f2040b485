"""An image's config and manifest → its layers, and how it wants to be run (OCI image spec, config.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lading.core import canonical
from lading.core.descriptor import LAYER_GZIP, LAYER_TAR, LAYER_ZSTD, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LockError
from lading.core.image import Layer
from lading.core.platform import Platform

_DOCKER = "application/vnd.docker.image.rootfs.diff.tar"
_KINDS = {
    LAYER_TAR: LAYER_TAR,
    LAYER_GZIP: LAYER_GZIP,
    LAYER_ZSTD: LAYER_ZSTD,
    _DOCKER: LAYER_TAR,
    f"{_DOCKER}.gzip": LAYER_GZIP,
    f"{_DOCKER}.zstd": LAYER_ZSTD,
}
"""By media type, the image specification's word for the same bytes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an image's config says."""

    diff_ids: tuple[Digest, ...]
    history: tuple[str, ...]
    """What made each layer, as far as it is told."""
    variables: Mapping[str, str]
    user: str
    working_dir: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def parse(data: bytes, platform: Platform, where: str) -> Settings:
    """Read a config; IntegrityError where it is none, LockError where it is another platform's."""
    document = canonical.decode(data, where)
    match document:
        case {"rootfs": {"diff_ids": list(diff_ids)}, "os": str(system), "architecture": str(architecture)}:
            pass
        case _:
            raise IntegrityError(Issue(where, "has no config of an image: os, architecture and diff_ids"))
    if (system, architecture) != (platform.os, platform.architecture):
        what = f"is for {system}/{architecture}, expected {platform}"
        raise LockError(Issue(where, what, "take a base for the platform, or name another --platform"))
    issues: list[Issue] = []
    settings = _checked(document.get("config"), diff_ids, issues, where)
    if issues:
        raise IntegrityError(*issues)
    return Settings(
        tuple(Digest.parse(one) for one in diff_ids),
        tuple(_made_by(document.get("history"))),
        dict(_variables(settings.get("Env") or [])),
        settings.get("User") or "",
        settings.get("WorkingDir") or "",
        tuple(settings.get("Entrypoint") or ()),
        tuple(settings.get("Cmd") or ()),
    )


def _checked(settings: object, diff_ids: list[Any], issues: list[Issue], where: str) -> dict[str, Any]:
    """Return how an image is to be run, having collected what is of another kind; variables may be secret."""
    wrong = []
    for one in diff_ids:
        try:
            Digest.parse(str(one))
        except IntegrityError as error:
            wrong.append(f"diff_ids: {error.issues[0].what}")
    run = {} if settings is None else settings
    if isinstance(run, dict):
        for key in ("Env", "Entrypoint", "Cmd"):
            texts_of = run.get(key)
            if texts_of is not None and not _is_texts(texts_of):
                wrong.append(f"{key}: got {_kind(texts_of)}, expected a list of texts alone")
        texts = {key: run.get(key) for key in ("User", "WorkingDir")}
        strange = {key: value for key, value in texts.items() if not isinstance(value, str | None)}
        wrong += (f"{key}: got {value!r:.80}, expected a text" for key, value in strange.items())
    else:
        wrong.append(f"config: got {_kind(run)}, expected an object")
    fix = "build or fetch the image again, with a tool that keeps to the OCI image specification"
    issues += (Issue(where, f"its config is malformed: {one}", fix) for one in wrong)
    return run if isinstance(run, dict) else {}


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _kind(value: object) -> str:
    return {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}.get(type(value), "a number")


def layers(found: Sequence[Descriptor], settings: Settings, where: str) -> tuple[Layer, ...]:
    """Return an image's layers, lowest first; LockError for those that cannot be taken along."""
    if len(found) != len(settings.diff_ids):
        what = f"got {len(found)} layers, and its config has {len(settings.diff_ids)}"
        raise IntegrityError(Issue(where, what))
    strange = [one for one in found if one.media_type not in _KINDS]
    if strange:
        fix = "take an image whose layers may be pushed and are compressed by gzip or zstd"
        raise LockError(*(Issue(where, f"got a layer of type {one.media_type!r}", fix) for one in strange))
    count = len(found)
    titles = settings.history if len(settings.history) == count else ("",) * count
    return tuple(
        Layer(
            Descriptor(_KINDS[one.media_type], one.digest, one.size_bytes),
            diff_id,
            "image",
            f"base {number} of {count}" + (f": {title}" if title else ""),
        )
        for number, (one, diff_id, title) in enumerate(zip(found, settings.diff_ids, titles, strict=True), 1)
    )


def _made_by(history: object) -> list[str]:
    rows = history if isinstance(history, list) else []
    told = [one for one in rows if isinstance(one, dict) and not one.get("empty_layer")]
    return [" ".join(str(one.get("created_by") or "").split())[:100] for one in told]


def _variables(texts: list[str]) -> list[tuple[str, str]]:
    pairs = [one.partition("=") for one in texts]
    return [(key, value) for key, equals, value in pairs if key and equals]
