"""A lock ⇄ `lading.lock` and the pylock.toml files beside it. Law: `read` gives what `write` took."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LockError, SpecError
from lading.core.lock import (
    Dropped,
    Interpreter,
    Lock,
    LockedArchive,
    LockedBase,
    LockedConda,
    LockedDeb,
    LockedSource,
    LockedWheel,
    PlatformLock,
    Trial,
)
from lading.core.model import Origin, Requirement
from lading.core.platform import Libc, Platform
from lading.lock import toml
from lading.lock.python import MACHINES
from lading.lock.question import Question

NAME = "lading.lock"
FORMAT = 2
_CREATOR = "lading"
_FIX = "make it again with 'lading lock'"


def write(lock: Lock, folder: Path) -> tuple[Path, ...]:
    """Write a lock's files into a folder, each whole or not at all; return their paths.

    `lading.lock` comes last and holds the digests of the others, so that a torn set is noticed. A pylock.toml
    of another maker is left alone: lading's own is then called pylock.model.toml. Raises OSError where the
    folder cannot be written; the caller may know another.
    """
    before = _named_by(folder / NAME)
    stem = "" if _is_ours(folder / "pylock.toml") else "model"
    platforms, written = [], {}
    for position, part in enumerate(lock.platforms):
        suffix = "" if position == 0 else str(part.platform).replace("/", "-")
        table: dict[str, Any] = {"platform": str(part.platform), "base": _base_to_toml(part.base)}
        table["interpreter"] = _interpreter_to_toml(part.interpreter)
        if part.second:
            table["server-interpreter"] = _interpreter_to_toml(part.second)
        environments = (
            ("model", stem, part.model, part.interpreter),
            ("server", "server", part.server, part.server_interpreter),
        )
        for environment, label, wheels, interpreter in environments:
            if environment == "server" and not wheels:
                continue
            name = ".".join(filter(None, ("pylock", "-".join(filter(None, (label, suffix))), "toml")))
            written[name] = _pylock(wheels, part, interpreter)
            table[environment] = {"file": name, "digest": str(Digest.of(written[name]))}
        table["packages"] = [_deb_to_toml(one) for one in part.base.packages]
        if part.conda:
            table["conda"] = [_conda_to_toml(one) for one in part.conda]
        if part.dropped:
            table["dropped"] = [_dropped_to_toml(one) for one in part.dropped]
        platforms.append(table)
    document = {
        "format": FORMAT,
        "spec": str(lock.spec_digest),
        "server": lock.server,
        **({"accelerator": lock.accelerator} if lock.accelerator else {}),
        **({"trial": _trial_to_toml(lock.trial)} if lock.trial else {}),
        "requirements": [_requirement_to_toml(one) for one in lock.requirements],
        "platforms": platforms,
    }
    written[NAME] = b"# What this package is made of. Written by lading; commit it.\n" + toml.render(document)
    for name, data in written.items():
        _replace(folder / name, data)
    for name in before - written.keys():
        (folder / name).unlink(missing_ok=True)
    return tuple(folder / name for name in written)


def read(folder: Path) -> Lock:
    """Read a lock; raise LockError where it is missing, malformed or its files do not belong together."""
    path = folder / NAME
    document = toml.parse(_bytes(path), str(path))
    if document.get("format") != FORMAT:
        what = f"got format {document.get('format')!r}, expected {FORMAT}"
        raise LockError(Issue(str(path), what, _FIX))
    try:
        return Lock(
            Digest.parse(_text(document, "spec")),
            _text(document, "server"),
            tuple(_requirement(one) for one in _tables(document, "requirements")),
            tuple(_platform(one, folder) for one in _tables(document, "platforms")),
            _text(document, "accelerator") if "accelerator" in document else None,
            _trial(_table(document, "trial")) if "trial" in document else None,
        )
    except (_MalformedError, IntegrityError, SpecError) as error:
        what = error.issues[0].what if isinstance(error, (IntegrityError, SpecError)) else str(error)
        raise LockError(Issue(str(path), what, _FIX)) from error


def is_fresh(lock: Lock, question: Question) -> bool:
    """Tell whether a lock answers this question, or one that was asked before it changed."""
    return lock.spec_digest == question.digest


class _MalformedError(Exception):
    """Something in a lock's files is not of the form that `write` gives it."""


def _pylock(wheels: tuple[LockedWheel, ...], part: PlatformLock, interpreter: Interpreter) -> bytes:
    machine = MACHINES[part.platform.architecture]
    document = {
        "lock-version": "1.0",
        "environments": [f"sys_platform == 'linux' and platform_machine == '{machine}'"],
        "requires-python": f"=={interpreter.minor}.*",
        "created-by": _CREATOR,
        "packages": [_wheel_to_toml(wheel) for wheel in wheels],
    }
    return toml.render(document)


def _wheel_to_toml(wheel: LockedWheel) -> dict[str, Any]:
    """Give a package's entry; what lading builds is a source distribution to every other installer."""
    table: dict[str, Any] = {"name": wheel.name, "version": wheel.version}
    sealed = {"size": wheel.size_bytes, "hashes": {wheel.digest.algorithm: wheel.digest.hex}}
    source = wheel.source
    if source is None:
        return {**table, "wheels": [{"name": wheel.filename, "url": wheel.url, **sealed}]}
    own = {
        "wheel": {"name": wheel.filename, **sealed},
        "build-requires": [_wheel_to_toml(one) for one in source.requirements],
    }
    sdist = {
        "name": unquote(wheel.url.rpartition("/")[2]),
        "url": wheel.url,
        "size": source.size_bytes,
        "hashes": {source.digest.algorithm: source.digest.hex},
    }
    return {**table, "sdist": sdist, "tool": {_CREATOR: own}}


def _wheels(part: Mapping[str, Any], environment: str, folder: Path) -> tuple[LockedWheel, ...]:
    table = part.get(environment)
    if not isinstance(table, dict):
        raise _MalformedError(f"got no {environment!r} of a platform, expected a table")
    name = _text(table, "file")
    if Path(name).name != name or not name.startswith("pylock."):
        raise _MalformedError(f"got file {name!r}, expected the name of a pylock.toml in the same folder")
    data = _bytes(folder / name)
    if Digest.of(data) != Digest.parse(_text(table, "digest")):
        raise _MalformedError(f"{name} is not the one that was locked: it was changed, or {NAME} was")
    packages = _tables(toml.parse(data, name), "packages")
    return tuple(_wheel(one, name) for one in packages)


def _wheel(package: Mapping[str, Any], where: str) -> LockedWheel:
    what = f"{where}: got package {package.get('name')!r} of another form, expected one wheel"
    wheel: Mapping[str, Any]
    match package:
        case {"wheels": [{"url": str(url)} as wheel]}:
            source = None
        case {"sdist": {"url": str(url)} as sdist, "tool": {"lading": {"wheel": dict(wheel)} as own}}:
            requirements = tuple(_wheel(one, where) for one in _tables(own, "build-requires"))
            source = LockedSource(*_sealed(sdist, what), requirements)
        case _:
            raise _MalformedError(what)
    filename = _text(wheel, "name")
    if "/" in filename or not filename.endswith(".whl"):
        raise _MalformedError(what)
    name, version = _text(package, "name"), _text(package, "version")
    return LockedWheel(name, version, filename, url, *_sealed(wheel, what), source)


def _sealed(table: Mapping[str, Any], what: str) -> tuple[Digest, int]:
    """Read what a file is checked by."""
    match table:
        case {"size": int(size), "hashes": {"sha256": str(sha256)}} if size >= 0:
            return Digest.parse(f"sha256:{sha256}"), size
        case _:
            raise _MalformedError(what)


def _platform(table: Mapping[str, Any], folder: Path) -> PlatformLock:
    packages = tuple(_deb(one) for one in _tables(table, "packages"))
    second = table.get("server-interpreter")
    return PlatformLock(
        Platform.parse(_text(table, "platform")),
        _base(_table(table, "base"), packages),
        _interpreter(_table(table, "interpreter")),
        _wheels(table, "model", folder),
        _wheels(table, "server", folder) if "server" in table else (),
        None if second is None else _interpreter(_table(table, "server-interpreter")),
        tuple(_conda(one) for one in _tables(table, "conda")),
        tuple(_dropped(one) for one in _tables(table, "dropped")),
    )


def _base_to_toml(base: LockedBase) -> dict[str, Any]:
    table: dict[str, Any] = {"reference": base.reference, "libc": str(base.libc)}
    if base.suite is not None:
        table["suite"] = base.suite
    if base.image:
        table["image"] = base.image.to_json()
    return table


def _base(table: Mapping[str, Any], packages: tuple[LockedDeb, ...]) -> LockedBase:
    return LockedBase(
        _text(table, "reference"),
        _text(table, "suite") if "suite" in table else None,
        packages,
        Libc.parse(_text(table, "libc")),
        Descriptor.from_json(_table(table, "image")) if "image" in table else None,
    )


def _interpreter_to_toml(interpreter: Interpreter) -> dict[str, Any]:
    table: dict[str, Any] = {"path": interpreter.path, "version": interpreter.version}
    if one := interpreter.archive:
        sealed = {"size": one.size_bytes, "hashes": {one.digest.algorithm: one.digest.hex}}
        table["archive"] = {"name": one.name, "filename": one.filename, "url": one.url, **sealed}
    return table


def _interpreter(table: Mapping[str, Any]) -> Interpreter:
    path, version = _text(table, "path"), _text(table, "version")
    if "archive" not in table:
        return Interpreter(path, version)
    one = _table(table, "archive")
    digest, size_bytes = _sealed(one, "got an archive without a size and a sha256")
    name, filename, url = (_text(one, key) for key in ("name", "filename", "url"))
    return Interpreter(path, version, LockedArchive(name, version, filename, url, digest, size_bytes))


def _deb_to_toml(deb: LockedDeb) -> dict[str, Any]:
    return {
        "name": deb.name,
        "version": deb.version,
        "architecture": deb.architecture,
        "filename": deb.filename,
        "size": deb.size_bytes,
        deb.digest.algorithm: deb.digest.hex,
    }


def _deb(table: Mapping[str, Any]) -> LockedDeb:
    match table:
        case {"size": int(size), "sha256": str(sha256)} if size >= 0:
            return LockedDeb(
                _text(table, "name"),
                _text(table, "version"),
                _text(table, "architecture"),
                _text(table, "filename"),
                Digest.parse(f"sha256:{sha256}"),
                size,
            )
        case _:
            raise _MalformedError(f"got system package {table.get('name')!r} without a size and a sha256")


def _conda_to_toml(one: LockedConda) -> dict[str, Any]:
    table = {"name": one.name, "version": one.version, "build": one.build, "url": one.url}
    sealed = {"size": one.size_bytes, one.digest.algorithm: one.digest.hex}
    return {**table, **sealed, "distributions": list(one.distributions)}


def _conda(table: Mapping[str, Any]) -> LockedConda:
    match table:
        case {"size": int(size), "sha256": str(sha256), "distributions": list(found)} if size >= 0:
            name, version, build, url = (_text(table, key) for key in ("name", "version", "build", "url"))
            digest = Digest.parse(f"sha256:{sha256}")
            return LockedConda(name, version, build, url, digest, size, tuple(map(str, found)))
        case _:
            raise _MalformedError(f"got conda package {table.get('name')!r} without a size and a sha256")


def _dropped_to_toml(one: Dropped) -> dict[str, Any]:
    return {"name": one.name, "version": one.version, "size": one.size_bytes, "why": one.why}


def _dropped(table: Mapping[str, Any]) -> Dropped:
    match table:
        case {"size": int(size)} if size >= 0:
            return Dropped(_text(table, "name"), _text(table, "version"), size, _text(table, "why"))
        case _:
            raise _MalformedError(f"got {table.get('name')!r}, which was dropped, without a size")


def _trial_to_toml(trial: Trial) -> dict[str, Any]:
    brought = {"brought": list(trial.brought)} if trial.brought else {}
    return {"dropped": list(trial.dropped), "needed": list(trial.needed), **brought}


def _trial(table: Mapping[str, Any]) -> Trial:
    match table:
        case {"dropped": list(dropped), "needed": list(needed)}:
            brought = table.get("brought") or ()
            return Trial(tuple(map(str, dropped)), tuple(map(str, needed)), tuple(map(str, brought)))
        case _:
            raise _MalformedError("got a trial of another form, expected 'dropped' and 'needed'")


def _requirement_to_toml(one: Requirement) -> dict[str, Any]:
    table = {"requirement": one.text, "origin": one.origin}
    return {**table, "mapped-from": one.mapped_from} if one.mapped_from is not None else table


def _requirement(table: Mapping[str, Any]) -> Requirement:
    origins: tuple[Origin, ...] = get_args(Origin)
    for origin in origins:
        if table.get("origin") == origin:
            mapped_from = _text(table, "mapped-from") if "mapped-from" in table else None
            return Requirement(_text(table, "requirement"), origin, mapped_from)
    raise _MalformedError(f"got origin {table.get('origin')!r}, expected one of {', '.join(origins)}")


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str):
        raise _MalformedError(f"got {key} {value!r}, expected a text")
    return value


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    if not isinstance(value, dict):
        raise _MalformedError(f"got {key} of another form, expected a table")
    return value


def _tables(table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _MalformedError(f"got {key} of another form, expected tables")
    return value


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {(error.strerror or 'unknown').lower()}"
        raise LockError(Issue(str(path), what, _FIX)) from error


def _named_by(path: Path) -> set[str]:
    """Name the pylock files of the lock that lies there."""
    try:
        document = toml.parse(path.read_bytes(), path.name)
        parts = _tables(document, "platforms")
        tables = [part[key] for part in parts for key in ("model", "server") if key in part]
        names = {str(table["file"]) for table in tables}
    except (OSError, LockError, _MalformedError, KeyError, TypeError):
        return set()
    return {name for name in names if Path(name).name == name and name.startswith("pylock.")}


def _is_ours(path: Path) -> bool:
    """Tell whether a pylock.toml may be overwritten: it is not there, or lading wrote it."""
    try:
        return toml.parse(path.read_bytes(), path.name).get("created-by") == _CREATOR
    except FileNotFoundError:
        return True
    except (OSError, LockError):
        return False


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
