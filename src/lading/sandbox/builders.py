"""A folder with a Dockerfile goes in; an archive of the image that is built of it comes out.

By buildah, podman or Docker, the first that works here.

What an engine needs on a machine is told to it as everywhere: `BUILDAH_ISOLATION`, `CONTAINERS_CONF`,
`CONTAINERS_STORAGE_CONF`, `CONTAINERS_REGISTRIES_CONF`, `DOCKER_HOST`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.core.errors import Issue, VerifyError
from lading.core.ports import Event, Events, ignore

TAG = "lading.local/build"
_PROBE_S = 30
_BUILD_S = 3600
_TOLD_LINES = 15


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that builds: how it is asked whether it works, builds, saves and forgets."""

    name: str
    probe: tuple[str, ...]
    build: tuple[str, ...]
    form: str
    """Of the archive: `oci-archive` or `docker-archive`."""

    def save(self, tag: str, archive: Path) -> list[str]:
        """Return the command that writes an image to an archive."""
        if self.name == "buildah":
            return ["buildah", "push", tag, f"{self.form}:{archive}:{tag}"]
        return [
            self.name,
            "save",
            *(["--format", self.form] if self.name == "podman" else []),
            "-o",
            str(archive),
            tag,
        ]

    def forget(self, tag: str) -> list[str]:
        """Return the command that drops an image from the tool's own storage."""
        return [self.name, "rmi", tag]


TOOLS = (
    Tool("buildah", ("buildah", "info"), ("buildah", "build-using-dockerfile"), "oci-archive"),
    Tool("podman", ("podman", "info"), ("podman", "build", "--layers=false"), "oci-archive"),
    Tool("docker", ("docker", "version"), ("docker", "build"), "docker-archive"),
)
"""In the order in which they are tried."""


def build(context: Path, dockerfile: str, archive: Path, *, key: str, events: Events = ignore) -> Tool:
    """Build an image and write it to an archive that is not there yet; return the tool that did it.

    `key` tells this build from others that run at the same time. Raises VerifyError where no tool works here,
    or the build fails, with the end of what it said.
    """
    tool = _choose()
    tag = f"{TAG}-{key}-{os.getpid()}:latest"
    events(Event("build", "stage", f"building {dockerfile} with {tool.name}"))
    _run([*tool.build, "-f", str(context / dockerfile), "-t", tag, str(context)], dockerfile)
    try:
        _run(tool.save(tag, archive), dockerfile)
    finally:
        subprocess.run(tool.forget(tag), capture_output=True, check=False)
    return tool


def _choose() -> Tool:
    seen = []
    for tool in TOOLS:
        if shutil.which(tool.name) is None:
            seen.append(f"{tool.name} is not installed")
            continue
        try:
            done = subprocess.run(tool.probe, capture_output=True, text=True, timeout=_PROBE_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            seen.append(f"{tool.name}: {error}")
            continue
        if done.returncode == 0:
            return tool
        seen.append(f"{tool.name} does not work here: {_end(done.stderr, 1)}")
    what = f"a build context needs buildah, podman or docker: {'; '.join(seen)}"
    fix = "on Debian: apt-get install buildah; or build the image elsewhere, and name it with 'image'"
    raise VerifyError(Issue("build", what, fix))


def _run(command: Sequence[str], dockerfile: str) -> None:
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_BUILD_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VerifyError(Issue(dockerfile, f"{command[0]}: {error}")) from error
    if done.returncode:
        what = (
            f"{command[0]} could not build it (status {done.returncode}):\n{_end(done.stdout, _TOLD_LINES)}"
        )
        raise VerifyError(Issue(dockerfile, what))


def _end(text: str, lines: int) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
