"""An order for `cell.py` in; a process that can be watched, measured and ended out."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from lading.core.errors import Issue, VerifyError

_TAIL_BYTES = 64 << 10
_PIPE_BYTES = 4096
_LOOK_S = 0.5
_copying = threading.Lock()
_KILL_S = 10.0
# -S and -I: start in 10 ms, from nothing but the standard library
_SCRIPT = "import sys; sys.path.append(sys.argv[1]); import cell; cell.main(*map(int, sys.argv[2:]))"


class RoomError(Exception):
    """A room could not be made: the step and the system's error number."""

    def __init__(self, step: str, errno: int) -> None:
        """Keep what was tried and why it was refused."""
        super().__init__(step, errno)
        self.step, self.errno = step, errno

    def __str__(self) -> str:
        """Print step and reason."""
        return f"{self.step}: {os.strerror(self.errno)}"


class Cell:
    """A command under watch (core.ports.Running)."""

    def __init__(
        self,
        order: Mapping[str, Any],
        *,
        pass_fds: Sequence[int] = (),
        main_process: Callable[[], int] | None = None,
    ) -> None:
        """Start; return when the command runs. `main_process` finds it where it is no child of the watcher.

        Raises RoomError when the room or the command is refused.
        """
        status_read, status = os.pipe()
        report_read, report = os.pipe()
        arguments = [str(Path(__file__).parent), str(status), str(report)]
        try:
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _SCRIPT, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(status, report, *pass_fds),
                start_new_session=True,
            )
        finally:
            os.close(status)
            os.close(report)
        self._report = report_read
        self._main_process = main_process
        self._peak_bytes = 0
        self._tail = bytearray()
        self._turn = threading.Lock()
        self._log: IO[bytes] | None = None
        self._is_ending = False
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()
        assert self._watcher.stdin
        try:
            self._watcher.stdin.write(json.dumps(order).encode() + b"\n")
            self._watcher.stdin.flush()
            self._wait_until_started(status_read)
        except BaseException:
            self._end()
            raise

    def _wait_until_started(self, status_read: int) -> None:
        with open(status_read, "rb") as status:
            text = status.read()
        if text:
            failure = json.loads(text)
            raise RoomError(failure["step"], failure["errno"])

    def _drain(self) -> None:
        """Keep the last of the output, however much there is."""
        assert self._watcher.stdout
        with self._watcher.stdout as stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                with self._turn:
                    self._tail += chunk
                    del self._tail[:-_TAIL_BYTES]
                    self._copy(chunk)

    def _copy(self, chunk: bytes) -> None:
        """Copy to the log; once the end has begun, a log that nobody reads is given up."""
        if self._log is None:
            return
        with contextlib.suppress(OSError, ValueError):  # its reader has gone: let it
            self._log.flush()
            try:
                descriptor = self._log.fileno()
            except OSError:  # a log in memory
                self._log.write(chunk)
                return
            # of several that share a log each writes what it has as a whole
            while not _copying.acquire(timeout=_LOOK_S):
                if self._is_ending:
                    self._log = None
                    return
            try:
                self._copy_to(descriptor, chunk)
            finally:
                _copying.release()

    def _copy_to(self, descriptor: int, chunk: bytes) -> None:
        ready = select.poll()
        ready.register(descriptor, select.POLLOUT)
        while chunk:
            # a pipe that is ready takes so much at once
            if ready.poll(_LOOK_S * 1000):
                chunk = chunk[os.write(descriptor, chunk[:_PIPE_BYTES]) :]
            elif self._is_ending:
                self._log = None
                return

    def poll(self) -> int | None:
        """Return the exit status (128 + n where signal n ended it), None while it runs."""
        status = self._watcher.poll()
        if status is not None:
            self._settle()
        return status

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end; raise TimeoutError if it does not come."""
        try:
            status = self._watcher.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the command still runs after {timeout_s} s") from None
        self._settle()
        return status

    def stop(self, timeout_s: float = 10.0) -> int:
        """Send SIGTERM, and SIGKILL to everything inside after `timeout_s`; return the exit status."""
        self._is_ending = True
        if self._watcher.poll() is None:
            self.peak_memory_bytes()
            self._watcher.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._watcher.wait(timeout_s)
        return self._end()

    def _end(self) -> int:
        """Close the lifeline, which kills whatever still runs; reap; return the exit status."""
        self._is_ending = True
        assert self._watcher.stdin
        with contextlib.suppress(OSError):
            self._watcher.stdin.close()
        try:
            status = self._watcher.wait(_KILL_S)
        except subprocess.TimeoutExpired:
            self._watcher.kill()
            status = self._watcher.wait()
        self._settle()
        return status

    def _settle(self) -> None:
        """After the end: take the watcher's report and the rest of the output, close what is open."""
        self._is_ending = True
        if self._report < 0:
            return
        with open(self._report, "rb") as report:  # noqa: PTH123 - a file descriptor
            self._report = -1
            text = report.read()
        if text and not self._main_process:  # else it speaks of the engine's client
            self._peak_bytes = max(self._peak_bytes, int(json.loads(text)["max_rss_bytes"]))
        self._reader.join(_KILL_S)
        if self._watcher.stdin:
            with contextlib.suppress(OSError):
                self._watcher.stdin.close()

    def output(self) -> str:
        """Return the last 64 KiB of what it wrote to stdout and stderr."""
        return bytes(self._tail).decode(errors="replace")

    def follow(self, log: IO[bytes]) -> None:
        """Copy the output to `log` as it comes, what came before first."""
        with self._turn:
            self._log = log
            self._copy(bytes(self._tail))

    def peak_memory_bytes(self) -> int:
        """Return the sum of each process's highest resident size; after the end, the last seen."""
        if self._watcher.returncode is None:
            family = _family(self._main_process() if self._main_process else self._watcher.pid)
            inside = family if self._main_process else family[1:]
            self._peak_bytes = max(self._peak_bytes, sum(map(_high_water_bytes, inside)))
        return self._peak_bytes


def start(cell: Callable[[], Cell], command: str, name: str) -> Cell:
    """Make a cell; say as a VerifyError why it could not be made."""
    try:
        return cell()
    except RoomError as error:
        what = f"cannot run {command!r}: {os.strerror(error.errno)}" if error.step == "exec" else str(error)
        raise VerifyError(Issue(f"sandbox {name}", what)) from error


def _family(process: int) -> list[int]:
    """Return a process and all below it; orphans inside belong to its process 1."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents().items():
        children.setdefault(parent, []).append(child)
    family, todo = [], [process] if process else []
    while todo:
        one = todo.pop()
        family.append(one)
        todo.extend(children.get(one, ()))
    return family


def _parents() -> dict[int, int]:
    """Return each process's parent (proc_pid_stat(5): the fourth field; the second may hold spaces)."""
    parents = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - text is all that is wanted
        if name.isdigit():
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{name}/stat").read_bytes()
                parents[int(name)] = int(stat.rpartition(b")")[2].split()[1])
    return parents


def _high_water_bytes(process: int) -> int:
    """Return VmHWM (proc_pid_status(5))."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0
