"""The kernel's namespaces alone, on an overlay of the layers or a linked tree; no other program is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.sandbox.roots import Root, command_text
from lading.sandbox.running import Cell, start


@dataclass(frozen=True, slots=True)
class Unshare:
    """A sandbox (core.ports.Sandbox) of namespaces(7). Where overlays are refused, `overlay` is off."""

    root: Root
    overlay: bool = True

    @property
    def name(self) -> str:
        """Return the kind, and what emulates."""
        return self.root.named("unshare")

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
        """Start a command as process 1 of its own namespaces; VerifyError where it cannot be."""
        root = self.root
        binds = root.binds(mounts, network=network)
        points = root.mount_points(binds)
        layers = root.paths if self.overlay else (root.merged(points),)
        order = {
            "argv": list(argv),
            "env": {**root.environment, **env},
            "namespaces": {
                "layers": [str(path.absolute()) for path in layers],
                "overlay": self.overlay,
                "folders": points.folders,
                "files": points.files,
                "work": str(root.folder.absolute()),
                "tmp": str(tmp.absolute()),
                "binds": [[str(source), target] for target, source in binds.items()],
                "network": network,
                "uid": root.user.uid,
                "gid": root.user.gid,
            },
            **root.emulation(),
        }
        return start(lambda: Cell(order), command_text(argv), self.name)
