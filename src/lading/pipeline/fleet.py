"""References go in; each package is served by a server of its own, behind one router."""

from __future__ import annotations

import io
import json
import re
import shutil
import socketserver
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from lading.core.errors import Issue, LadingError, RegistryError, SpecError, VerifyError
from lading.core.patience import Patience
from lading.core.ports import Event, Running
from lading.core.server import NATIVE
from lading.pipeline import delivery, shelf
from lading.pipeline.context import Context
from lading.pipeline.running import command, user
from lading.verify.client import Client, NoAnswerError

ROUTER = "lading_runtime.router"
_SOCKET, _GRPC_SOCKET = "s", "g"
_STOP_S = 30.0
_LOOK_S = 0.2
_MAX_DELAY_S = 30.0
_ORDER_BYTES = 1 << 16
_LAST_LINES = 5
_NOT_LOADED = re.compile(r'the model did not load: (?:[^"\\\n]|\\[^\n])*')
# who may ask is decided where they ask; a server behind the router has nobody but it
_ROUTERS_OWN = ("LADING_TOKEN", "LADING_TLS_", "LADING_LAME_DUCK_S", "LADING_HOST", "LADING_PORT")


@dataclass
class Member:
    """A package that is served on a Unix socket."""

    reference: str
    name: str
    version: str
    package: shelf.Package
    folder: Path
    grpc: bool = False
    running: Running | None = None
    is_ending: bool = False
    deaths: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, str]:
        """Say what the router has to know; its /tmp is our folder's parent."""
        inside = f"/tmp/{self.folder.name}"  # noqa: S108 - in the router's sandbox
        return {
            "reference": self.reference,
            "name": self.name,
            "version": self.version,
            "own_name": self.package.bill.name,
            "own_version": self.package.bill.version or "1",
            "socket": f"{inside}/{_SOCKET}",
            "grpc_socket": f"{inside}/{_GRPC_SOCKET}" if self.grpc else "",
        }


def _refuse_others(packages: Sequence[tuple[str, shelf.Package]]) -> None:
    """Refuse packages whose server speaks another protocol than the router."""
    found = [(text, one.bill.server.name) for text, one in packages if one.bill.server.name != NATIVE]
    if found:
        fix = "serve it alone, or pack it with server: lading"
        what = "its server is {!r}, and the router speaks to 'lading' alone"
        raise SpecError(*(Issue(text, what.format(name), fix) for text, name in found))


class Fleet:
    """Packages that are served, each in its own sandbox."""

    def __init__(
        self,
        context: Context,
        world: Path,
        find: Callable[[str], shelf.Package],
        env: Mapping[str, str],
        *,
        sandbox: str | None,
        log: IO[bytes],
        load_timeout_s: float,
        grpc: bool = False,
    ) -> None:
        """Serve in folders of `world`; `env` are the servers' settings; `grpc`, they speak that too."""
        self._context = context
        self._world = world
        self._find = find
        self._env = {key: value for key, value in env.items() if not key.startswith(_ROUTERS_OWN)}
        self._sandbox = sandbox
        self._log = log
        self._load_timeout_s = load_timeout_s
        self._grpc = grpc
        self._made = 0
        self._turn = threading.Lock()
        self._opening = threading.Lock()
        self.members: list[Member] = []
        self.is_stopping = False

    def load_all(self, texts: Sequence[str]) -> None:
        """Serve packages that are all in the store, started side by side; the first stays the first."""
        packages = [(text, self._find(text)) for text in texts]
        _refuse_others(packages)
        self._refuse_clashes(packages)
        with ThreadPoolExecutor(len(packages)) as threads:
            loading = [threads.submit(self._serve, *one) for one in packages]
            try:
                done, left = wait(loading, return_when=FIRST_EXCEPTION)
                failed = bool(left) or any(one.exception() for one in done)
            except BaseException:
                self.is_stopping = True  # nobody waits for the others
                raise
            self.is_stopping = failed
        for one in sorted(done, key=loading.index):
            one.result()
        self.members.sort(key=lambda member: texts.index(member.reference))

    def _refuse_clashes(self, packages: Sequence[tuple[str, shelf.Package]]) -> None:
        """Refuse packages that would be called the same."""
        called: dict[tuple[str, str], str] = {}
        clashes = []
        for text, package in packages:
            name, version = shelf.served_as(self._context, text, package)
            known = called.setdefault((name, version), text)
            if known != text:
                what = f"would be served as {name} {version}, as {known} is"
                clashes.append(Issue(text, what, f"give it another name: lading tag {text} NAME:TAG"))
        if clashes:
            raise SpecError(*clashes)

    def load(self, text: str) -> Member:
        """Start a package's server and wait until it is ready; raise LadingError where it is not."""
        package = self._find(text)
        _refuse_others([(text, package)])
        return self._serve(text, package)

    def _serve(self, text: str, package: shelf.Package) -> Member:
        name, version = shelf.served_as(self._context, text, package)
        with self._turn:
            self._made += 1
            folder = self._world / str(self._made)
        folder.mkdir()
        folder.chmod(0o711)  # the router may be another user
        member = Member(text, name, version, package, folder, self._grpc)
        self._start(member)
        try:
            self._await(member)
        except LadingError:
            self._stop(member)
            raise
        with self._turn:
            self.members.append(member)
        return member

    def unload(self, inside: str) -> None:
        """End the server of a socket, as the router calls it; it drains by itself."""
        with self._turn:
            gone = [one for one in self.members if one.to_json()["socket"] == inside]
            self.members = [one for one in self.members if one not in gone]
        for one in gone:
            self._stop(one)

    def watch(self) -> None:
        """Start servers that have ended anew, with ever longer waits; runs until the fleet stops."""
        while not self.is_stopping:
            time.sleep(_LOOK_S)
            with self._turn:
                ended = [one for one in self.members if one.running and one.running.poll() is not None]
            for one in ended:
                self._revive(one)

    def stop(self) -> None:
        """End every server, all at once."""
        self.is_stopping = True
        threads = [threading.Thread(target=self._stop, args=(one,)) for one in self.members]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _start(self, member: Member) -> None:
        image = member.package.image
        with self._opening:
            opened = self._context.sandbox(
                image.layers, self._sandbox, platform=image.platform, user=user(image)
            )
        argv, env = command(image)
        own = {
            "LADING_UDS": f"/tmp/{_SOCKET}",  # noqa: S108 - in its sandbox
            "LADING_GRPC_PORT": "0",
            "LADING_GRPC_UDS": f"/tmp/{_GRPC_SOCKET}" if member.grpc else "",  # noqa: S108 - as above
            **shelf.identity(member.package, member.name, member.version),
        }
        lent = delivery.lend(self._context, member.package.bill)
        variables = {**env, **self._env, **own, **lent.env}
        member.running = opened.start(
            argv, env=variables, tmp=member.folder, network=True, mounts=lent.mounts
        )
        member.running.follow(cast("IO[bytes]", _Prefixed(self._log, member.reference)))

    def _await(self, member: Member) -> None:
        client = Client(member.folder, _SOCKET)
        deadline_s = time.monotonic() + self._load_timeout_s
        what = f"{member.reference} to be ready"
        waiting = Patience(self._context.events, "serve", what, self._load_timeout_s)
        while not self.is_stopping:
            assert member.running
            status = member.running.poll()
            if status is not None:
                what = f"its server ended with status {status}{_reason(member.running)}"
                raise VerifyError(Issue(member.reference, what, _why(member.running)))
            try:
                if client.get("/v2/health/ready", 5.0).status == 200:
                    return
            except NoAnswerError:
                pass
            if time.monotonic() > deadline_s:
                what = f"it was not ready within {self._load_timeout_s:g} s{_reason(member.running)}"
                raise VerifyError(Issue(member.reference, what, _why(member.running)))
            waiting.tell()
            time.sleep(0.01)

    def _revive(self, member: Member) -> None:
        if self.is_stopping or member.is_ending:
            return
        now = time.monotonic()
        member.deaths = [one for one in member.deaths if now - one < 60] + [now]
        delay_s = min(0.5 * 2.0 ** (len(member.deaths) - 1), _MAX_DELAY_S)
        self._context.events(
            Event("serve", "warning", f"the server of {member.reference} has ended; again in {delay_s:g} s")
        )
        member.running = None

        def again() -> None:
            if self.is_stopping or member.is_ending:
                return
            try:
                self._start(member)
            except LadingError as error:
                self._context.events(Event("serve", "warning", f"{member.reference}: {_line(error)}"))
                self._revive(member)

        timer = threading.Timer(delay_s, again)
        timer.daemon = True
        timer.start()

    def _stop(self, member: Member) -> None:
        member.is_ending = True
        if member.running:
            member.running.stop(_STOP_S)
        shutil.rmtree(member.folder, ignore_errors=True)


def _reason(running: Running) -> str:
    """Say why the model did not load, where its server does, in the one line that a client may know."""
    found = _NOT_LOADED.findall(running.output())
    return f": {found[-1]}" if found else ""


def _why(running: Running) -> str:
    """Quote what a server wrote last: for whoever started it, not for its clients (`_line`)."""
    lines = [line for line in running.output().splitlines() if line.strip()][-_LAST_LINES:]
    return "the last that it wrote: " + " | ".join(lines) if lines else "it wrote nothing"


class _Prefixed:
    """A log in which a server's lines begin with its name; lines of JSON bear it already."""

    def __init__(self, log: IO[bytes], name: str) -> None:
        self._log = log
        self._prefix = f"[{name}] ".encode()
        self._is_at_start = True

    def write(self, data: bytes) -> None:
        """Write a piece of output."""
        pieces = []
        for line in data.splitlines(keepends=True):
            is_named = not self._is_at_start or line.startswith(b"{")
            pieces.append(line if is_named else self._prefix + line)
            self._is_at_start = line.endswith(b"\n")
        self._log.write(b"".join(pieces))

    def fileno(self) -> int:
        """Have every piece come through `write`: raise OSError, as a log in memory does."""
        raise io.UnsupportedOperation

    def flush(self) -> None:
        """Have it written."""
        self._log.flush()


class Control(socketserver.ThreadingUnixStreamServer):
    """The router's orders, a line of JSON each, on a socket that no package sees."""

    daemon_threads = True

    def __init__(self, fleet: Fleet, path: Path) -> None:
        """Listen; the router may be another user."""
        self.fleet = fleet
        super().__init__(str(path), _Orders)
        path.chmod(0o666)

    def start(self) -> None:
        """Answer in a thread of its own."""
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()


class _Orders(socketserver.StreamRequestHandler):
    server: Control

    def handle(self) -> None:
        try:
            order = json.loads(self.rfile.readline(_ORDER_BYTES))
            answer = self._obey(order)
        except RegistryError as error:
            answer = {"status": 404, "error": _line(error)}
        except LadingError as error:
            answer = {"status": 400 if isinstance(error, SpecError) else 500, "error": _line(error)}
        except (ValueError, KeyError, OSError) as error:
            answer = {"status": 500, "error": f"the order was not understood: {error}"}
        self.wfile.write(json.dumps(answer).encode() + b"\n")

    def _obey(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        if order["do"] == "load":
            return self.server.fleet.load(str(order["reference"])).to_json()
        self.server.fleet.unload(str(order["socket"]))
        return {}


def _line(error: LadingError) -> str:
    """Say what a client may know, in a line: what to do about it may quote a log."""
    return "; ".join(f"{one.where}: {one.what}" for one in error.issues)


def route(
    context: Context,
    fleet: Fleet,
    world: Path,
    env: Mapping[str, str],
    *,
    sandbox: str | None,
    log: IO[bytes],
    mounts: Mapping[str, Path],
) -> Running:
    """Start the router over what the fleet serves, in the first package's server environment."""
    first = fleet.members[0].package
    (world / "served.json").write_text(json.dumps([one.to_json() for one in fleet.members]), encoding="utf-8")
    argv, own = command(first.image)
    module = argv.index("lading_runtime")
    argv = [*argv[:module], ROUTER]
    opened = context.sandbox(
        first.image.layers, sandbox, platform=first.image.platform, user=user(first.image)
    )
    running = opened.start(argv, env={**own, **env}, tmp=world, network=True, mounts=mounts)
    running.follow(log)
    return running


def refuse_doubles(texts: Sequence[str]) -> None:
    """Refuse a reference that is named twice."""
    doubles = sorted({one for one in texts if texts.count(one) > 1})
    if doubles:
        raise SpecError(*(Issue(one, "is named twice") for one in doubles))


def short_path(folder: Path) -> None:
    """Refuse a folder below which no Unix socket can be named."""
    longest = len(str(folder / "control").encode())
    if longest > 107:
        raise SpecError(
            Issue(str(folder), "is too long a path for a Unix socket", "set TMPDIR to a shorter one")
        )
