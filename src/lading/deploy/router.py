"""An endpoint in; a process of its own out that routes what comes to its deployments.

The socket is the supervisor's: while a router that has died is started anew, clients wait to be accepted.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_MODULE = "lading_runtime.endpoint"
_BACKLOG = 2048
_DELAY_S, _MOST_DELAY_S = 0.1, 10.0
_STOP_S = 35.0


class Router:
    """A router's process, started anew when it ends."""

    def __init__(
        self,
        listening: socket.socket,
        log: Path,
        drained: Callable[[str], None],
        restarted: Callable[[], None],
    ) -> None:
        """Start nothing yet; `drained` hears of instances, `restarted` that what was on its way is gone."""
        self._listening = listening
        self._log = log
        self._drained = drained
        self._restarted = restarted
        self._process: subprocess.Popen[bytes] | None = None
        self._facts: Mapping[str, Any] = {}
        self._said: Mapping[str, Any] = {}
        self._deaths = 0
        self._begun = 0.0
        self._again_at = 0.0

    @property
    def process_id(self) -> int | None:
        """The process, None where there is none just now."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def be(self, facts: Mapping[str, Any]) -> None:
        """Route so, from now on."""
        self._facts = facts
        self.step()

    def step(self) -> None:
        """Start it where it is not there, and tell it what it has not heard."""
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            self._deaths = self._deaths + 1 if now - self._begun < _MOST_DELAY_S * 6 else 1
            self._again_at = now + min(_DELAY_S * 2.0 ** (self._deaths - 1), _MOST_DELAY_S)
            self._forget()
            self._restarted()
        if self._process is None and now >= self._again_at:
            self._start()
        if self._process is not None and self._facts is not self._said and self._facts != self._said:
            self._say(self._facts)

    def end(self) -> None:
        """End it, after what is being answered."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._forget()
        self._listening.close()

    def _start(self) -> None:
        handle = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(self._listening.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=handle,
                pass_fds=[self._listening.fileno()],
                start_new_session=True,  # an interrupt is the supervisor's
                env={**os.environ, "LADING_LOG_FORMAT": os.environ.get("LADING_LOG_FORMAT", "text")},
            )
        finally:
            os.close(handle)
        self._begun = time.monotonic()
        self._said = {}
        threading.Thread(target=self._hear, args=(self._process,), daemon=True).start()

    def _hear(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        with process.stdout as stream:
            for line in stream:
                said = json.loads(line)
                if "drained" in said:
                    self._drained(str(said["drained"]))

    def _say(self, facts: Mapping[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has just died: the next step finds out
            self._process.stdin.write(json.dumps({**facts, "generation": 0}).encode() + b"\n")
            self._process.stdin.flush()
            self._said = facts

    def _forget(self) -> None:
        assert self._process is not None
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process = None
        self._said = {}


def listen(host: str, port: int) -> socket.socket:
    """Listen, on any free port for 0; raise OSError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError):
        listening.close()
        raise
    return listening
