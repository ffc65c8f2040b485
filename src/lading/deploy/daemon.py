"""A command in; a supervisor that goes on in the background, and answers, out."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from lading.core.errors import DeployError, Issue
from lading.deploy.control import SilentError, ask
from lading.deploy.folder import Folder
from lading.deploy.logfile import last_lines
from lading.deploy.supervisor import process_id

_START_S = 60.0
_LOOK_S = 0.05


def hello(folder: Folder) -> dict[str, Any] | None:
    """Ask who supervises; None where nobody does."""
    try:
        answer: dict[str, Any] = ask(folder.root, {"do": "hello"}, _START_S)
    except SilentError:
        return None
    return answer


def ensure(folder: Folder, argv: Sequence[str]) -> dict[str, Any]:
    """Have a supervisor, started by `argv` where there is none; raise DeployError where it ends at once."""
    if known := hello(folder):
        return known
    folder.make()
    handle = os.open(folder.supervisor_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,  # it outlives the terminal
            cwd=folder.root,
        )
    finally:
        os.close(handle)
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        if known := hello(folder):
            process.returncode = process.poll() or 0  # from here on it is nobody's child
            return known
        if process.poll() is not None and process_id(folder) is None:
            break
        time.sleep(_LOOK_S)
    said = "".join(f"\n    {line}" for line in last_lines(folder.supervisor_log, 12))
    raise DeployError(Issue("supervisor", f"did not come up; the last that it wrote:{said}"))


def end(folder: Folder, timeout_s: float = 60.0) -> bool:
    """End the supervisor, and with it all that it runs; tell whether there was one."""
    process = process_id(folder)
    try:
        ask(folder.root, {"do": "end"})
    except SilentError:
        if process is None:
            return False
    deadline_s = time.monotonic() + timeout_s
    while process_id(folder) is not None:
        if time.monotonic() > deadline_s:
            raise DeployError(Issue("supervisor", f"process {process} has not ended within {timeout_s:g} s"))
        time.sleep(_LOOK_S)
    return True
