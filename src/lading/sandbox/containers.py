"""An image that an engine holds → a container that runs, with its ports published, followed to its end.

Engines are told what to do by their own client (`docker`, `podman`), so whatever that honours holds:
contexts, `DOCKER_HOST`, `CONTAINERS_CONF`. Values of variables never stand on a command line.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lading.core.errors import DeployError, Issue, LadingError, SpecError

_REFUSED = 125
"""The status of `run` where it was the engine that failed (docker-run(1), podman-run(1))."""
_POLL_S = 0.02
_SPEAK_S = 0.3
_START_S = 60.0
_TAIL_BYTES = 8 << 10
_TAKEN = re.compile(r"address already in use|port is already allocated")
_NAMED = re.compile(r"""container name "/?([^"]+)" is already in use""")
_HERALDS = re.compile(r"^(docker: |Error: |Error response from daemon: )+")
# what the package is made for: nothing of it can be written to but /tmp, which may hold programs
_ROOM = ["--read-only", "--tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777", "--cap-drop=ALL"]
_ROOM += ["--security-opt=no-new-privileges", "--pull=never"]
_OWN = {"podman": ["--http-proxy=false"], "docker": []}


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: an image by its ID, and all that differs from run to run."""

    image: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    publish: tuple[str, ...] = ()
    """`[[IP:]HOST:]CONTAINER`, as the engines have it."""
    network: str | None = None
    name: str | None = None
    stop_s: float = 30.0
    mounts: Mapping[str, Path] | None = None
    """What appears read-only, by absolute paths in it."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine, spoken to through its client; `name` is `docker` or `podman`."""

    name: str

    def ask(self, *arguments: str) -> str | None:
        """Return what a command says, without the last line break; None where the engine says no."""
        done = self._call(arguments)
        return done.stdout.strip() if done.returncode == 0 else None

    def tell(
        self, *arguments: str, stdin: Callable[[IO[bytes]], None] | None = None, cwd: Path | None = None
    ) -> str:
        """Return what a command says; raise DeployError with its complaint where it fails."""
        done = self._call(arguments, cwd=cwd) if stdin is None else self._feed(arguments, stdin)
        if done.returncode:
            raise self.refusal(done.stderr or done.stdout)
        return done.stdout.strip()

    def refusal(self, text: str) -> LadingError:
        """Turn an engine's complaint into an error."""
        lines = [line for line in text.strip().splitlines() if line.strip() and "--help" not in line]
        what = (_HERALDS.sub("", " ".join(lines)) or "refused, and did not say why")[-1000:]
        if found := _NAMED.search(text):
            fix = f"choose another name, or remove that one: {self.name} rm --force {found[1]}"
            return SpecError(Issue("--name", f"{self.name} has a container {found[1]!r} already", fix))
        if _TAKEN.search(text):
            return SpecError(Issue(self.name, f"the port is taken: {what}", "choose another with --publish"))
        return DeployError(Issue(self.name, what))

    def start(self, order: Order) -> str:
        """Start a container that stays behind until it is stopped; return its ID."""
        with _variables(order.environment or {}) as (options, environment):
            done = self._call(("run", "--detach", "--rm", *self._options(order, options)), environment)
        if done.returncode:
            raise self.refusal(done.stderr)
        return done.stdout.strip().splitlines()[-1]

    def run(self, order: Order, log: IO[bytes], on_start: Callable[[str], None]) -> int:
        """Run a container to its end, return its exit status and leave nothing behind.

        It writes to our standard output and to `log`. `on_start` is given its ID. A KeyboardInterrupt stops
        it as its image asks to be stopped. Raises SpecError where a port or the name is taken, DeployError
        where it cannot run.
        """
        client = None
        with tempfile.TemporaryDirectory(prefix="lading-run-") as folder:
            id_file = Path(folder) / "id"
            try:
                with _variables(order.environment or {}) as (options, environment):
                    argv = [self.name, "run", "--rm", f"--cidfile={id_file}", *self._options(order, options)]
                    client = _Client(argv, environment, log)
                    while client.poll() is None and not _read(id_file):
                        time.sleep(_POLL_S)
                if client.poll() is None:
                    on_start(_read(id_file))
                status = client.wait()
            except KeyboardInterrupt:
                if client is None:
                    raise
                return self._stop(client, id_file, order.stop_s)
            if status == _REFUSED and client.withheld:
                raise self.refusal(client.withheld.decode(errors="replace"))
            return status

    def ports(self, container: str) -> list[str]:
        """Return where a container's ports are published: `0.0.0.0:49153`."""
        deadline_s = time.monotonic() + _START_S
        while time.monotonic() < deadline_s:
            if (text := self.ask("port", container)) is None:
                return []
            if text:
                return sorted({line.rpartition("-> ")[2] for line in text.splitlines()})
            time.sleep(_POLL_S)
        return []

    def _options(self, order: Order, variables: Sequence[str]) -> list[str]:
        options = [*_ROOM, *_OWN[self.name], *variables]
        options += [f"--publish={one}" for one in order.publish]
        options += [f"--network={order.network}"] if order.network else []
        options += [f"--name={order.name}"] if order.name else []
        for target, source in (order.mounts or {}).items():
            options.append(f'--mount=type=bind,"source={source}","target={target}",readonly')
        return [*options, order.image, *order.arguments]

    def _stop(self, client: _Client, id_file: Path, stop_s: float) -> int:
        """Stop a container, and kill it where it does not heed or a second interrupt comes."""
        try:
            # an engine whose client is cut off while it asks for a container makes it nevertheless: wait
            while client.poll() is None and not _read(id_file):
                time.sleep(_POLL_S)
            while client.poll() is None:
                # one that was made, but does not run yet, is not stopped by this
                self._call(("stop", "-t", str(int(stop_s)), _read(id_file)))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    client.wait(1)
            return client.wait()
        finally:
            if client.poll() is None:
                self._call(("rm", "--force", _read(id_file)))
                client.kill()

    def _call(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.name, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            env=environment,
            cwd=cwd,
            start_new_session=True,  # a Ctrl-C is for us
        )

    def _feed(
        self, arguments: Sequence[str], write: Callable[[IO[bytes]], None]
    ) -> subprocess.CompletedProcess[str]:
        argv = [self.name, *arguments]
        with subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as client:
            assert client.stdin
            assert client.stdout
            try:
                # a refusal breaks the pipe, and its reason is in the output
                with contextlib.suppress(BrokenPipeError), client.stdin:
                    write(client.stdin)
            except BaseException:
                client.kill()
                raise
            text = client.stdout.read().decode(errors="replace")
        return subprocess.CompletedProcess(argv, client.returncode, text, text)


class _Client:
    """An engine's client in the foreground. Its first words are held for a moment: they may be a refusal."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> None:
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, start_new_session=True
        )
        self.withheld = b""
        self._reader = threading.Thread(target=self._copy, args=(log,), daemon=True)
        self._reader.start()

    def poll(self) -> int | None:
        return self._process.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        status = self._process.wait(timeout_s)
        self._reader.join(_START_S)
        return status

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _copy(self, log: IO[bytes]) -> None:
        assert self._process.stderr
        with self._process.stderr as stream:
            words = os.read(stream.fileno(), 1 << 16)
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self._process.wait(_SPEAK_S) == _REFUSED:
                    self.withheld = (words + stream.read())[-_TAIL_BYTES:]
                    return
            while words:
                with contextlib.suppress(OSError, ValueError):  # its reader has gone: let it
                    log.write(words)
                    log.flush()
                words = os.read(stream.fileno(), 1 << 16)


@contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Lend a client's options and environment that give a container its variables, unseen by other users.

    A file of one line for each is what both engines read; what has several lines goes by way of the client.
    """
    lines = {key: value for key, value in environment.items() if "\n" not in value and "\r" not in value}
    others = {key: value for key, value in environment.items() if key not in lines}
    for key, value in others.items():
        if os.environ.get(key, value) != value:
            what = "has several lines, and the engine's client has a variable of that name already"
            raise SpecError(Issue(f"variable {key!r}", what, "unset that, or give it another name"))
    with tempfile.TemporaryDirectory(prefix="lading-run-") as folder:  # which only we may enter
        path = Path(folder) / "env"
        text = "".join(f"{key}={value}\n" for key, value in lines.items())
        path.write_bytes(text.encode(errors="surrogateescape"))
        yield [f"--env-file={path}", *(f"--env={key}" for key in others)], {**os.environ, **others}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
