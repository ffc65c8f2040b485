"""Packages whose model is not in the image: settled before packing, kept with the package, lent to sandboxes.

What fetches at start travels in the package (`lading_runtime.download`). Here the same is run, by this
machine's Python, for what is neither in the cache nor in the store; a sandbox is lent the cache, read-only,
so that what starts in it starts as it will elsewhere.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lading import image
from lading.core.bill import Bill, BilledFile, cache_key
from lading.core.descriptor import MODEL, Descriptor
from lading.core.digest import CHUNK_BYTES, Digest
from lading.core.errors import IntegrityError, Issue, RegistryError, SpecError
from lading.core.model import ModelFacts
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.core.server import NATIVE, ServerNeeds
from lading.core.spec import INPUTS, TOLERANT, PackageSpec
from lading.image.referrers import EMPTY_CONFIG
from lading.layers import arriving
from lading.pipeline.context import Context
from lading.store import documents

LENT = "/run/lading/models"
"""Where a sandbox finds what it is lent."""
CACHE, SOURCE = "LADING_MODEL_CACHE", "LADING_MODEL_SOURCE"
CLOUDS = ("s3", "gs", "az")
SCHEMES = ("oci", "https", "http", "file", *CLOUDS)
_OBSTORE = "obstore>=0.9,<0.13"
_PYTHON = "/opt/lading/env/bin/python"
_SYSTEM = frozenset({"bin", "boot", "dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp", "usr"})
_OURS = "/opt/lading"
_DEEP = 3
"""How many parts an absolute path has with a folder within a folder of the root."""
_FIX = f"expected one of {', '.join(f'{one}://' for one in SCHEMES)}, without credentials"


@dataclass(frozen=True, slots=True)
class Lent:
    """What a sandbox gets beside a package: variables, and folders that it may read."""

    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Part:
    """Files that are fetched together."""

    files: tuple[BilledFile, ...]
    sources: tuple[str, ...]

    @property
    def key(self) -> str:
        return cache_key(self.files)


def settle(what: PackageSpec, facts: ModelFacts, references: Sequence[Reference]) -> PackageSpec:
    """Say where a model that is not in the image comes from; SpecError, with every issue.

    Without a source it is the repositories that the package is named for: its model is pushed beside it.
    """
    if what.mode == "download" and not facts.files:
        what = replace(what, mode="copy")  # an inference routine alone has nothing to fetch
    if issues := [*_problems(what, facts)]:
        raise SpecError(*issues)
    if not comes(what):
        return what
    named = (f"oci://{one.registry}/{one.repository}" for one in references if one.registry)
    sources = what.model_sources or tuple(dict.fromkeys(named))
    # a form of the model is the model, and would be in the image
    return replace(what, model_sources=sources, compile="off")


def comes(what: PackageSpec) -> bool:
    """Tell whether anything is fetched at start."""
    return what.mode == "download" or any(one.mode == "download" for one in what.inputs)


def _problems(what: PackageSpec, facts: ModelFacts) -> Iterator[Issue]:
    if what.mode == "copy" and what.model_sources:
        fix = "set mode: download, or leave it out"
        yield Issue("model_source", "is given, but the model is copied into the image", fix)
    if comes(what) and what.compile in TOLERANT:
        fix = "set compile: off, or mode: copy"
        yield Issue("compile", f"got {what.compile!r}: the form would be in the image, unlike the model", fix)
    for one in what.model_sources:
        yield from source_problems("model_source", one, files=len(facts.files))
    taken: list[str] = []
    for number, given in enumerate(what.inputs):
        where = f"inputs[{number}]"
        if given.mode == "copy" and given.sources:
            yield Issue(f"{where}.source", "is given, but it is copied into the image", "set mode: download")
        for one in given.sources:
            yield from source_problems(f"{where}.source", one, files=1 + given.source.is_dir())
        yield from _place_problems(f"{where}.mount_path", given.path, taken)
        taken.append(given.path)


def _place_problems(where: str, path: str, taken: Sequence[str]) -> Iterator[Issue]:
    """Say why an input may not lie there: outside of its root, on the system's files, or on another."""
    parts = path.split("/")
    if not path.startswith("/") or any(one in {"", ".", ".."} for one in parts[1:]) or "\0" in path:
        yield Issue(where, f"got {path!r}, expected a path that stays inside the image, such as data/words")
    elif _is_system(path) or len(parts) < _DEEP:
        fix = "choose a relative path, or one such as /var/azureml-app/data or /data/words"
        yield Issue(where, f"got {path!r}, which is the system's or lading's own", fix)
    elif clash := next((one for one in taken if _overlap(one, path)), None):
        yield Issue(where, f"got {path!r}, and {clash!r} is taken", "give each a folder of its own")


def _is_system(path: str) -> bool:
    top = path.split("/")[1]
    is_ours = _overlap(path, _OURS) and not path.startswith(f"{INPUTS}/")
    return top in _SYSTEM or top.startswith("lib") or is_ours


def _overlap(one: str, other: str) -> bool:
    """Tell whether one folder is the other, or lies in it."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def source_problems(where: str, source: str, *, files: int) -> Iterator[Issue]:
    """Say what is wrong with a source; never repeat what may be a secret."""
    scheme, separator, rest = source.partition("://")
    if not separator or scheme not in SCHEMES or not rest:
        yield Issue(where, f"got {scheme[:20]!r}", _FIX)
    elif "@" in rest.partition("/")[0] or "?" in rest or "#" in rest:
        fix = "give them at start: LADING_SOURCE_TOKEN, or the cloud's own variables"
        yield Issue(where, "credentials or a query in the URL, which everyone could read", fix)
    elif files > 1 and scheme != "oci" and not rest.endswith("/"):
        fix = "end it with / where the files lie below it"
        yield Issue(where, f"got {source!r}, one file's URL, and the model has {files} files", fix)


def launched(server: ServerNeeds, what: PackageSpec) -> ServerNeeds:
    """Let a server start once all is there: the native one waits itself, others are started after it.

    SpecError where an input lies where the server looks for something else.
    """
    own = [one for one in (server.model_path, server.code_path) if one]
    clashes = [
        Issue(
            f"inputs[{number}].mount_path",
            f"got {one.path!r}, and {place!r} is the server's",
            "choose another",
        )
        for number, one in enumerate(what.inputs)
        for place in own
        if _overlap(one.path, place)
    ]
    if clashes:
        raise SpecError(*clashes)
    if not comes(what):
        return server
    sources = (*what.model_sources, *(source for one in what.inputs for source in one.sources))
    clouds = any(one.partition("://")[0] in CLOUDS for one in sources)
    requirements = (*server.requirements, *([_OBSTORE] if clouds else []))
    if server.name == NATIVE:
        return replace(server, requirements=requirements)
    entrypoint = (_PYTHON, "-I", arriving.LAUNCHER, "--", *server.entrypoint)
    return replace(server, requirements=requirements, entrypoint=entrypoint)


def coming(context: Context, what: PackageSpec, facts: ModelFacts) -> dict[Digest, Path]:
    """Return the files that a start fetches, where they lie here, by their digests."""
    of_model = [one.source for one in facts.files] if what.mode == "download" else []
    inputs = [one for one in what.inputs if one.mode == "download"]
    of_inputs = [found.source for one in inputs for found in arriving.contents(one, context.digests)]
    return {context.digests.of(path): path for path in (*of_model, *of_inputs)}


def keep(context: Context, descriptor: Descriptor, bill: Bill, files: Mapping[Digest, Path]) -> None:
    """Keep what a package fetches: in the cache, and with the package, where it is fetched from beside it."""
    parts = [*_parts(bill)]
    pushed = [one for part in parts if _is_pushed(part) for one in part.files]
    for one in dict.fromkeys(file.digest for file in pushed):
        if context.store.size_bytes(one) is not None:
            continue
        with context.store.create() as writer, files[one].open("rb") as stream:
            while data := stream.read(CHUNK_BYTES):
                writer.write(data)
            writer.commit(one)
    if pushed:
        manifest, attached = image.attach_files(descriptor, pushed, MODEL)
        for blob in (EMPTY_CONFIG, manifest):
            documents.write(context.store, blob)
        context.store.refer(attached)
    for part in parts:
        _fill(context, part, files)


def _is_pushed(part: _Part) -> bool:
    return not part.sources or any(one.startswith("oci://") and "@" not in one for one in part.sources)


def lend(context: Context, bill: Bill) -> Lent:
    """Lend a sandbox what a package fetches; bring it here first where it is not.

    Raises RegistryError where it cannot be had.
    """
    parts = [*_parts(bill)]
    if not parts:
        return Lent()
    cache = folder(context)
    missing = [one for one in parts if not _is_there(cache / one.key, one)]
    if missing:
        bring(context, bill)
    for one in parts:
        context.hold(cache / one.key)
        os.utime(cache / one.key)
    return Lent({CACHE: LENT}, {f"{LENT}/{one.key}": cache / one.key for one in parts})


def advise(context: Context, bill: Bill, target: Reference) -> None:
    """Tell what a start needs to know where a package was pushed to another place than its bill names."""
    there = f"oci://{target.registry}/{target.repository}"
    if any(_is_pushed(one) and there not in one.sources for one in _parts(bill)):
        what = f"what it fetches at start was pushed with it: start it with {SOURCE}={there}"
        context.events(Event("push", "warning", what))


def folder(context: Context) -> Path:
    """Return the cache of models on this machine."""
    return context.settings.cache / "models"


def kept(context: Context, bill: Bill, files: Sequence[BilledFile]) -> Path:
    """Return the folder with a package's model, or with an input, brought here where it is not."""
    lend(context, bill)
    return folder(context) / cache_key(files)


def bring(context: Context, bill: Bill, *, into: Path | None = None, only: str | None = None) -> None:
    """Fetch what a package fetches at start, as it does, into the cache; `only` from one source.

    Raises RegistryError with what the fetching says.
    """
    if only is None:
        context.events(Event("download", "step", "the model is brought here, as it is at a start"))
    document = bill.to_json()
    if only is not None:
        document = {"model": {**document["model"], "sources": [only]}}
    with tempfile.TemporaryDirectory(prefix="lading-bill-") as name:
        path = Path(name) / "bill.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        environ = {**os.environ, "LADING_BILL": str(path), CACHE: str(into or folder(context))}
        environ["LADING_DOWNLOAD_PATIENCE_S"] = "0"
        environ["LADING_LOG_FORMAT"] = "text"
        if only is None:
            own = f"oci-layout://{context.store.folder}"
            environ[SOURCE] = " ".join(filter(None, (own, environ.get(SOURCE, ""))))
        command = [sys.executable, "-I", _launcher(), "--keep"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ)
    if done.returncode:
        lines = [line.removeprefix("lading: error: giving up: ") for line in done.stderr.splitlines()]
        what, _, fix = (lines or [f"the download ended with {done.returncode}"])[-1].partition("; ")
        raise RegistryError(Issue(only or f"model of {bill.name}", what, fix or None))


def check(context: Context, bill: Bill) -> None:
    """Fetch the model from each source that says where it is, and hold it against the files here.

    Raises RegistryError, or IntegrityError, for a source whose bytes are not to be had, or are others.
    """
    for source in bill.model.sources:
        if source.startswith("oci://"):
            continue  # what is there is found by the digests of its files
        context.events(Event("verify", "step", f"fetching the model from {source}"))
        with tempfile.TemporaryDirectory(prefix="lading-model-", dir=_made(folder(context))) as name:
            try:
                bring(context, bill, into=Path(name), only=source)
            except RegistryError as error:
                if "another" not in error.issues[0].what:
                    raise
                raise IntegrityError(*error.issues) from error


def _parts(bill: Bill) -> Iterator[_Part]:
    if bill.model.mode == "download":
        yield _Part(bill.model.files, bill.model.sources)
    for one in bill.inputs:
        if one.mode == "download":
            yield _Part(one.files, one.sources)


def _is_there(path: Path, part: _Part) -> bool:
    """Tell whether all is there; that it is right is seen at start."""
    try:
        return all((path / one.path).stat().st_size == one.size_bytes for one in part.files)
    except OSError:
        return False


def _fill(context: Context, part: _Part, files: Mapping[Digest, Path]) -> None:
    """Lay files in the cache, as links to the store where they are in it; the folder appears whole."""
    cache = _made(folder(context))
    if _is_there(cache / part.key, part):
        return
    partial = Path(tempfile.mkdtemp(prefix=f".{part.key[:16]}-", dir=cache))
    partial.chmod(0o755)
    try:
        for one in part.files:
            path = partial / one.path
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files[one.digest], path)
            path.chmod(0o644)
        shutil.rmtree(cache / part.key, ignore_errors=True)
        partial.rename(cache / part.key)
    except OSError as error:
        if not _is_there(cache / part.key, part):
            raise IntegrityError(Issue(str(error.filename), str(error.strerror))) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _launcher() -> str:
    """Return the path of what fetches, which is installed beside lading."""
    spec = importlib.util.find_spec("lading_runtime")
    if spec is None or not spec.submodule_search_locations:
        raise SpecError(Issue("lading_runtime", "is not installed beside lading", "install lading again"))
    return str(Path(next(iter(spec.submodule_search_locations))) / "download" / "__main__.py")
