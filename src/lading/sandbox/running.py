"""An order for `cell.py` in; a process that can be watched, measured and ended out."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from lading.core.errors import Issue, VerifyError

_TAIL_BYTES = 64 << 10
_PIPE_BYTES = 4096
_LOOK_S = 0.5
_copying = threading.Lock()
_KILL_S = 10.0
_ASK_S = 0.1
_SIGTERM = 1 << (signal.SIGTERM - 1)
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
        """Send SIGTERM, and SIGKILL to everything inside after `timeout_s`; return the exit status.

        What has no handler for SIGTERM, a server that has just begun for one, would be ended by it anywhere
        but as process 1, for which the kernel drops it (pid_namespaces(7)): it is killed at once.
        """
        self._is_ending = True
        deadline_s = time.monotonic() + timeout_s
        if self._watcher.poll() is None:
            self.peak_memory_bytes()
            # asked once: Python takes its handlers back while it ends
            if not _is_deaf(self._first(deadline_s)):
                self._watcher.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._watcher.wait(max(0.0, deadline_s - time.monotonic()))
        return self._end()

    def _first(self, deadline_s: float) -> int:
        """Return the host's number of process 1 inside, 0 where there is none; wait for that of an engine."""
        if self._main_process is None:
            return next((one for one in _family(self._watcher.pid) if _is_first(one)), 0)
        while not (process := self._main_process()) and self._watcher.poll() is None:
            if time.monotonic() + _ASK_S > deadline_s:
                break
            time.sleep(_ASK_S)
        return process

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
    return int((_status(process).get("VmHWM") or ["0"])[0]) << 10


def _is_first(process: int) -> bool:
    """Tell whether it is process 1 of a pid namespace below ours."""
    numbers = _status(process).get("NSpid", [])
    return len(numbers) > 1 and numbers[-1] == "1"


def _is_deaf(process: int) -> bool:
    """Tell whether a process neither handles SIGTERM, nor blocks nor ignores it; not of one that is gone."""
    status = _status(process) if process else {}
    masks = [status[name] for name in ("SigCgt", "SigIgn", "SigBlk") if status.get(name)]
    return bool(masks) and not any(int(mask[0], 16) & _SIGTERM for mask in masks)


def _status(process: int) -> dict[str, list[str]]:
    """Read what the kernel tells of a process (proc_pid_status(5)); nothing of one that is gone."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return {}
    rows = (line.partition(":") for line in text.splitlines())
    return {name: words.split() for name, _, words in rows}
