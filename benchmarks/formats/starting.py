"""A server's command goes in; wall and CPU seconds from its exec to its first answer come out."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S = 180.0
LOOK_S = 0.02
# what the image that MLflow describes runs, but for the place of the model, the port, and nginx before it
ENTRY = """
import sys
from pathlib import Path
from mlflow.models import container as C
C.MODEL_PATH, C.DEFAULT_INFERENCE_SERVER_PORT = sys.argv[1], int(sys.argv[2])
C._serve('local')
"""


class NeverAnsweredError(Exception):
    """A server ended, or went on without an answer."""


@dataclass(frozen=True)
class Server:
    """How a server is started on a port."""

    command: Callable[[int], Sequence[str]]
    env: Mapping[str, str] = field(default_factory=dict)


def of_lading(tag: str, *more: str) -> Server:
    """`lading serve`."""
    return Server(lambda port: (sys.executable, "-m", "lading", "serve", tag, "--port", str(port), *more))


def of_mlflow(programs: Path, model: Path) -> Server:
    """The entry point of MLflow's image, with one worker."""
    env = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(programs.parent),
        "DISABLE_NGINX": "true",
        "MLFLOW_DISABLE_ENV_CREATION": "true",
        "MLFLOW_MODELS_WORKERS": "1",
    }
    return Server(lambda port: (str(programs / "python"), "-c", ENTRY, str(model), str(port)), env)


def to_answer(server: Server, body: bytes, env: Mapping[str, str], log: Path) -> tuple[float, float]:
    """Start a server and ask until it answers; stop it. Return wall and CPU seconds, all processes together.

    Raises NeverAnsweredError.
    """
    port = _free_port()
    with log.open("wb") as stream:
        began = time.monotonic()
        process = subprocess.Popen(
            server.command(port),
            env={**env, **server.env},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            return _wait(process, port, body, began), _cpu_s(process.pid)
        except NeverAnsweredError as error:
            raise NeverAnsweredError(f"{error}\n{log.read_text()[-2000:]}") from error
        finally:
            _stop(process)


def _wait(process: subprocess.Popen[bytes], port: int, body: bytes, began: float) -> float:
    status, said = 0, b""
    while time.monotonic() - began < LIMIT_S:
        if process.poll() is not None:
            raise NeverAnsweredError(f"ended with status {process.returncode}")
        try:
            status, said = _ask(port, body)
        except (OSError, http.client.HTTPException):
            status = 0
        if status == 200:
            return time.monotonic() - began
        if 400 <= status < 500 and status != 429:
            break
        time.sleep(LOOK_S)
    raise NeverAnsweredError(f"no answer: {status or 'not reached'} {said[:300]!r}")


def _ask(port: int, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("POST", "/invocations", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and what it started."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _cpu_s(root: int) -> float:
    """Add up what a process and all that it has started have used, in seconds."""
    used, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            process = int(path.parent.name)
            parents[process], used[process] = int(fields[1]), sum(map(int, fields[11:15]))
    family = {root}
    while more := {one for one, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(used.get(one, 0) for one in family) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
