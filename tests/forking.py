"""Commands of lading, each in a process of its own: a fork of one that has imported lading already.

What a command costs is then what it does, and not the imports of before. `python forking.py` is the process
that is forked: its standard input is a socket, on which every datagram is a command, with the descriptors of
its output, of its errors, and of a socket that is told its process id, and then its exit status.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# what an interpreter reads when it starts
_OF_THE_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "MALLOC_")
_MESSAGE_BYTES_MAX = 1 << 17


def can_run(env: Mapping[str, str]) -> bool:
    """Tell whether a process with these variables would start as ours did."""
    changed = {name for name in {*env, *os.environ} if env.get(name) != os.environ.get(name)}
    return not any(name.startswith(_OF_THE_START) for name in changed)


class Parent:
    """A process that has imported lading, and is forked; `enter` is a command that runs it elsewhere."""

    def __init__(self, *enter: str) -> None:
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen([*enter, sys.executable, __file__], stdin=its)

    def close(self) -> None:
        """End it."""
        self._control.close()
        self._process.wait()

    def run(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: str | Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = {"arguments": arguments, "env": dict(env), "cwd": str(cwd or Path.cwd())}
        mine, its = socket.socketpair()
        with mine, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            with its:
                descriptors = [output.fileno(), errors.fileno(), its.fileno()]
                socket.send_fds(self._control, [json.dumps(command).encode()], descriptors)
            status = _await(mine)
            said = []
            for file in (output, errors):
                file.seek(0)
                said.append(file.read().decode().replace("\r\n", "\n"))
        return subprocess.CompletedProcess(arguments, status, *said)


@functools.cache
def parent() -> Parent:
    """Start the one that is forked here; it ends with this process."""
    atexit.register((made := Parent()).close)
    return made


def _await(told: socket.socket) -> int:
    """Return how a command went; it ends where its test does not wait."""
    with told.makefile("r") as lines:
        process_id = int(lines.readline())
        try:
            return int(lines.readline())
        except BaseException:
            os.kill(process_id, signal.SIGKILL)
            raise


def _serve(control: socket.socket) -> None:
    """Fork for every command; return in the process that is to run it."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE_BYTES_MAX, 3)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not message:
            os._exit(0)
        if not os.fork():
            control.close()
            if _keep(descriptors):
                return _become(json.loads(message))
        for one in descriptors:
            os.close(one)


def _keep(descriptors: Sequence[int]) -> bool:
    """Fork the command, and tell in its end how it went; true in the command itself."""
    output, errors, told = descriptors
    process_id = os.fork()
    if process_id:
        os.write(told, f"{process_id}\n".encode())
        _, status = os.waitpid(process_id, 0)
        with contextlib.suppress(OSError):  # who asked may be gone
            os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.closerange(3, max(3, *descriptors) + 1)
    return True


def _become(command: dict[str, object]) -> None:
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["env"])
    sys.argv = ["lading", *command["arguments"]]


if __name__ == "__main__":
    import importlib
    import pkgutil

    from lading import pipeline
    from lading.cli.main import main

    for one in pkgutil.iter_modules(pipeline.__path__):  # what commands import
        importlib.import_module(f"lading.pipeline.{one.name}")

    sys.path.pop(0)
    gc.freeze()
    _serve(socket.socket(fileno=0))
    sys.exit(main())
