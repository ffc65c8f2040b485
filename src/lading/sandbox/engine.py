"""Podman and Docker Engine: each runs the sealed layers its own way.

Podman takes a folder (`--rootfs`), a tree of hard links. Docker takes an image only: the layers' blobs are
loaded as they are, under a name made from their diff IDs, and stay with the engine as its cache.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lading.core.errors import Issue, VerifyError
from lading.sandbox.roots import Root, command_text, find_program
from lading.sandbox.running import Cell, start
from lading.sandbox.tree import MountPoints

_ENGINE_S = 600
_ENGINE_FOLDERS = ("/sys", "/run")
_ENGINE_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_REMOVE = {"podman": ["podman", "rm", "--force", "--time", "0"], "docker": ["docker", "rm", "--force"]}
_REPOSITORY = "lading.local/sandbox"


@dataclass(frozen=True, slots=True)
class Podman:
    """A sandbox (core.ports.Sandbox) made by podman from a folder."""

    root: Root

    @property
    def name(self) -> str:
        """Return the kind, and what emulates."""
        return self.root.named("podman")

    @property
    def emulated(self) -> bool:
        """Tell whether another processor's executables run in it."""
        return bool(self.root.emulated)

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        tmp: Path,
        network: bool = False,
        mounts: Mapping[str, Path] | None = None,
    ) -> Cell:
        """Start a command in a container of its own."""
        binds = self.root.binds(mounts, network=False)
        points = self.root.mount_points(binds)
        engines = MountPoints((*points.folders, *_ENGINE_FOLDERS), (*points.files, *_ENGINE_FILES))
        tree = self.root.merged(engines)
        user = self.root.user
        options = ["--security-opt", "label=disable", "--read-only-tmpfs=false", "--user", str(user)]
        if os.geteuid() != 0:
            options += [f"--userns=keep-id:uid={user.uid},gid={user.gid}"]
        # runtimes refuse a path with a link in it
        image = ["--rootfs", str(tree.resolve()), *argv]
        _let_in(tmp, self.root)
        return _run(
            "podman",
            self.root.folder,
            options,
            image,
            {**self.root.environment, **env},
            tmp=tmp,
            binds=binds,
            network=network,
        )


@dataclass(frozen=True, slots=True)
class Docker:
    """A sandbox (core.ports.Sandbox) made by Docker Engine from an image of these layers."""

    root: Root

    @property
    def name(self) -> str:
        """Return the kind, and what emulates."""
        return self.root.named("docker")

    @property
    def emulated(self) -> bool:
        """Tell whether another processor's executables run in it."""
        return bool(self.root.emulated)

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        tmp: Path,
        network: bool = False,
        mounts: Mapping[str, Path] | None = None,
    ) -> Cell:
        """Start a command in a container of its own."""
        binds = self.root.binds(mounts, network=False)
        # an ordinary user could not remove what another user wrote into tmp
        user = str(self.root.user) if os.geteuid() == 0 else f"{os.geteuid()}:{self.root.user.gid}"
        options = ["--user", user, "--pull", "never", "--entrypoint", command_text(argv)]
        image = [load(self.root), *argv[1:]]
        _let_in(tmp, self.root)
        return _run(
            "docker",
            self.root.folder,
            options,
            image,
            {**self.root.environment, **env},
            tmp=tmp,
            binds=binds,
            network=network,
        )


def _let_in(tmp: Path, root: Root) -> None:
    if os.geteuid() == 0:
        os.chown(tmp, root.user.uid, root.user.gid)


def _run(
    engine: str,
    folder: Path,
    options: Sequence[str],
    image: Sequence[str],
    env: Mapping[str, str],
    *,
    tmp: Path,
    binds: Mapping[str, Path],
    network: bool,
) -> Cell:
    """Run the engine's client in the foreground; it forwards SIGTERM."""
    find_program(engine)
    name = f"lading-{secrets.token_hex(8)}"
    id_file = folder.absolute() / f".{name}"
    client = {**env, **os.environ}
    argv = [engine, "run", "--rm", "--name", name, "--read-only", "--cap-drop", "ALL"]
    argv += ["--security-opt", "no-new-privileges", "--log-driver", "none", "--workdir", "/"]
    argv += ["--cidfile", str(id_file), "--network", "host" if network else "none"]
    argv += ["--mount", _bind(tmp.absolute(), "/tmp")]  # noqa: S108 - inside
    for target, source in binds.items():
        argv += ["--mount", _bind(source, target) + ",readonly"]
    for key, value in env.items():  # by name alone where that will do: other users see a command line
        argv += ["--env", key if client[key] == value else f"{key}={value}"]
    order = {
        "argv": [*argv, *options, *image],
        "env": client,
        "engine": {"remove": [*_REMOVE[engine], name], "id_file": str(id_file)},
    }
    return start(lambda: Cell(order, main_process=lambda: _main_process(engine, name)), engine, engine)


def _bind(source: Path, target: str) -> str:
    return f'type=bind,"source={source}","target={target}"'


def _main_process(engine: str, name: str) -> int:
    """Return the host's process id of the container's process 1, 0 where it has none."""
    argv = [engine, "inspect", "--format", "{{.State.Pid}}", name]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_ENGINE_S)
    text = done.stdout.strip()
    return int(text) if text.isdecimal() else 0


def load(root: Root) -> str:
    """Return the name of an image of these layers, loading it into Docker Engine once."""
    find_program("docker")
    config = json.dumps(
        {
            "architecture": root.platform.architecture,
            "os": "linux",
            "config": {"User": str(root.user)},
            "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in root.layers]},
        }
    ).encode()
    name = f"{_REPOSITORY}:{hashlib.sha256(config).hexdigest()[:32]}"
    known = subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False)
    if known.returncode == 0:
        return name
    with subprocess.Popen(
        ["docker", "load", "--quiet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as loading:
        assert loading.stdin
        assert loading.stdout
        try:
            with loading.stdin:
                _write_archive(loading.stdin, root, config, name)
        except BrokenPipeError:
            pass  # the reason is in its output
        text = loading.stdout.read().decode(errors="replace").strip()
    if loading.returncode:
        raise VerifyError(Issue("sandbox docker", f"cannot load the layers: {text[-500:]}"))
    return name


def _write_archive(stream: IO[bytes], root: Root, config: bytes, name: str) -> None:
    """Write a docker-archive: manifest.json, the config and the layers, compressed as they are."""
    layers = {layer.diff_id.hex: layer for layer in root.layers}
    manifest = [
        {
            "Config": "config.json",
            "RepoTags": [name],
            "Layers": [f"{layer.diff_id.hex}.tar" for layer in root.layers],
        }
    ]
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for path, data in (("manifest.json", json.dumps(manifest).encode()), ("config.json", config)):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for hexadecimal, layer in layers.items():
            entry = tarfile.TarInfo(f"{hexadecimal}.tar")
            entry.size = layer.descriptor.size_bytes
            with root.source.open(layer.descriptor.digest) as blob:
                archive.addfile(entry, blob)
