"""bubblewrap (bwrap(1)): for machines where it alone may make user namespaces. On a tree of hard links."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.sandbox.roots import Root, command_text, find_program
from lading.sandbox.running import Cell, start

_KERNEL_WRITABLE = ("/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """A sandbox (core.ports.Sandbox) made by bwrap."""

    root: Root

    @property
    def name(self) -> str:
        """Return the kind, and what emulates."""
        return self.root.named("bwrap")

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
        command = command_text(argv)
        binds = root.binds(mounts, network=network)
        tree = root.merged(root.mount_points(binds))
        info_read, info = os.pipe()
        options = ["--unshare-all", "--unshare-user", *(["--share-net"] if network else [])]
        options += ["--die-with-parent", "--as-pid-1", "--new-session", "--cap-drop", "ALL"]
        options += ["--uid", str(root.user.uid), "--gid", str(root.user.gid), "--hostname", "lading"]
        options += ["--info-fd", str(info), "--bind", str(tree.absolute()), "/"]
        options += ["--proc", "/proc"]
        for (
            kernel
        ) in _KERNEL_WRITABLE:  # bwrap maps the user to the caller, and root's may be written by root
            options += ["--ro-bind-try", kernel, kernel]
        options += ["--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
        options += ["--bind", str(tmp.absolute()), "/tmp"]  # noqa: S108 - inside
        for target, source in binds.items():
            options += ["--ro-bind", str(source), target]
        options += ["--remount-ro", "/", "--chdir", "/", "--"]
        order = {
            "argv": ["bwrap", *options, *argv],
            "env": {**root.environment, **env},
            "program": find_program("bwrap"),
            "info": info_read,
            "close": [info],
            **root.emulation(),
        }
        try:
            return start(lambda: Cell(order, pass_fds=(info_read, info)), command, self.name)
        finally:
            os.close(info_read)
            os.close(info)
