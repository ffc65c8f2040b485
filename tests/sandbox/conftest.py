"""Layers in memory, and the kinds of sandbox that work on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from engines import CONTAINERS_CONF, docker, engine_folder, require
from lading import sandbox
from lading.core.errors import Issue, VerifyError
from lading.core.image import Layer
from lading.core.ports import Sandbox
from lading.sandbox.kinds import _try
from sealing import Blobs, blobs, foreign_platform, python_layer

__all__ = ["blobs", "docker", "engine_folder", "python_layer"]

Open = Callable[..., Sandbox]
EMULATING = "emulating "


KINDS_TRIED = [*sandbox.KINDS, "linked", f"{EMULATING}unshare", f"{EMULATING}bwrap"]


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unpacked")


@pytest.fixture(scope="session", params=KINDS_TRIED)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Each kind; `linked` is unshare where overlays are refused. Engines get the flags they need.

    `emulating unshare` can run another processor's executables too, and keeps the same promises.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "podman":
            require("podman", "podman")
            conf = tmp_path_factory.mktemp("podman") / "containers.conf"
            conf.write_text(CONTAINERS_CONF)
            patch.setenv("CONTAINERS_CONF", str(conf))
        elif request.param == "docker":
            tool = request.getfixturevalue("docker")
            patch.setenv("DOCKER_HOST", tool.command[-1])
        elif request.param.endswith("bwrap"):
            require("bwrap", "bubblewrap")
        _try.cache_clear()
        yield request.param
        _try.cache_clear()


@pytest.fixture
def open_sandbox(
    kind: str, blobs: Blobs, unpacked: Path, python_layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> Open:
    """Open a sandbox of the kind under test: Python, and more layers above."""
    if kind == "linked":
        trial = sandbox.kinds._run_trial

        def refuse(*of: object, overlay: bool) -> None:
            if overlay:
                raise VerifyError(Issue("sandbox unshare", "mount overlay: refused"))
            trial(*of, overlay=overlay)

        monkeypatch.setattr(sandbox.kinds, "_run_trial", refuse)
        _try.cache_clear()

    def opened(more: Sequence[Layer] = (), **options: object) -> Sandbox:
        asked = "unshare" if kind == "linked" else kind.removeprefix(EMULATING)
        if kind.startswith(EMULATING):
            options["platform"] = foreign_platform()
        return sandbox.open([python_layer, *more], source=blobs, unpacked=unpacked, kind=asked, **options)

    try:
        opened()
    except VerifyError as error:
        pytest.skip(f"{kind} does not work here: {error}")
    return opened
