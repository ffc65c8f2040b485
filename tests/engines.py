"""Container engines and tools as fixtures, with the flags that a machine without systemd needs.

A pytest plugin: `-p engines` with `tests` on the path. Each fixture skips, with the reason and the command,
where its tool is not there; what it starts it ends by process id.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

WORDS = b"sealed, tested, shipped\n"
"""What the tiny program says."""


# what podman needs on a machine without systemd, with limits that root may not raise
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
"""


@dataclass(frozen=True)
class Tool:
    """A command line tool. `run_flags` are what `run` of an engine needs on this kind of machine."""

    command: tuple[str, ...]
    run_flags: tuple[str, ...] = ()

    def call(self, *arguments: str | Path, timeout_s: float = 120) -> str:
        """Return what it says; fail, with what it complained of, where it does not end well."""
        command = [*self.command, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def run(self, *arguments: str | Path) -> str:
        """Run a container to its end and return what it says."""
        return self.call("run", "--rm", *self.run_flags, *arguments)


USER, PASSWORD = "anna", "hunter2-registry-password"
"""Who may use the registries that want a login."""
_HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuAyBc4cwP0sdMSvC3GF/XQutNcI6/UuK\n"


@dataclass(frozen=True)
class Registry:
    """An image registry on loopback; `host` is `localhost:port`."""

    host: str
    certificate: Path | None = None
    """The authority that vouches for it, where it speaks TLS."""
    pid: int = 0


def require(name: str, package: str) -> str:
    """Return the path of a tool, or skip with the command that installs it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not there: apt-get install {package}")
    return path


def free_port() -> int:
    """Return a port of loopback that nobody has, and that stays free until it is listened on.

    It lies below those that the kernel hands out: a port of the kernel's choice may be any client's, or any
    server's of another test, by the time that a server which loads first binds it.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def wait_until(is_ready: Callable[[], bool], server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a server; skip, with the end of its log, where it does not come up on this machine."""
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s and server.poll() is None:
        if is_ready():
            return
        time.sleep(0.05)
    end(server)
    pytest.skip(f"{server.args!r} does not start here: {log.read_text(errors='replace')[-500:]}")


def end(server: subprocess.Popen[bytes]) -> None:
    """End a server, by process id."""
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def skopeo() -> Tool:
    return Tool((require("skopeo", "skopeo"), "--insecure-policy"))


@pytest.fixture(scope="session")
def umoci() -> Tool:
    return Tool((require("umoci", "umoci"),))


@pytest.fixture(scope="session")
def engine_folder() -> Iterator[Path]:
    """A folder with a short name: the path of a Unix socket has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="lading-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def podman(engine_folder: Path) -> Tool:
    """Podman with a storage of its own."""
    root = engine_folder / "podman"
    command = (require("podman", "podman"), "--root", f"{root}/root", "--runroot", f"{root}/run")
    command += ("--tmpdir", f"{root}/tmp", "--runtime", require("runc", "runc"))
    command += ("--cgroup-manager", "cgroupfs", "--events-backend", "file")
    limits = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=1000:1000")
    probe = subprocess.run([*command, "info"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"podman does not work here: {probe.stderr[-300:]}")
    return Tool(command, (*limits, "--network=none"))


@pytest.fixture(scope="session")
def docker(engine_folder: Path) -> Iterator[Tool]:
    """A Docker Engine of its own; root is needed."""
    docker, dockerd = require("docker", "docker.io"), require("dockerd", "docker.io")
    if os.geteuid() != 0:
        pytest.skip("dockerd needs root: sudo scripts/check")
    folder = engine_folder / "docker"
    folder.mkdir()
    socket_path, log = folder / "d.sock", folder / "log"
    command = [
        dockerd,
        "--iptables=false",
        "--ip6tables=false",
        "--bridge=none",
        "-H",
        f"unix://{socket_path}",
    ]
    command += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "-p", f"{folder}/pid"]
    command += ["--storage-driver", "overlay2"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    tool = Tool((docker, "-H", f"unix://{socket_path}"), ("--network=none",))
    ask = [*tool.command, "version"]
    wait_until(lambda: subprocess.run(ask, capture_output=True, check=False).returncode == 0, server, log)
    yield tool
    end(server)
    # the engine leaves this mounted, and the folder could not be removed
    subprocess.run(["umount", folder / "exec" / "netns" / "default"], capture_output=True, check=False)


@contextmanager
def serving(
    folder: Path,
    *,
    guarded: bool = False,
    tls: bool = False,
    deleting: bool = True,
    auth: dict[str, object] | None = None,
    port: int = 0,
) -> Iterator[Registry]:
    """Serve a registry; `guarded` lets USER in alone. One that served before goes on with what it had."""
    program = require("docker-registry", "docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    settings: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": f"{folder}/data"}, "delete": {"enabled": deleting}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "the same after a restart"},
    }
    if tls:
        certificate, key = _certificate(folder)
        settings["http"] = {
            "addr": f"127.0.0.1:{port}",
            "tls": {"certificate": str(certificate), "key": str(key)},
        }
    if guarded:
        (folder / "htpasswd").write_text(_HTPASSWD)
        auth = {"htpasswd": {"realm": "test", "path": f"{folder}/htpasswd"}}
    if auth:
        settings["auth"] = auth
    configuration, log = folder / "config.yml", folder / "log"
    configuration.write_text(json.dumps(settings))  # JSON is YAML
    with log.open("wb") as output:
        server = subprocess.Popen([program, "serve", configuration], stdout=output, stderr=output)
    try:
        wait_until(lambda: answers(port), server, log)
        yield Registry(f"localhost:{port}", folder / "ca.crt" if tls else None, server.pid)
    finally:
        end(server)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Make an authority, `ca.crt`, and the certificate of localhost with its key."""
    make = [require("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
    make += ["-pkeyopt", "ec_paramgen_curve:P-256"]
    authority = ["-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    own = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    own += ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.crt", "-CAkey", "ca.key"]
    for name, more in (("ca", authority), ("server", own)):
        command = [*make, *more, "-keyout", f"{name}.key", "-out", f"{name}.crt"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "server.crt", folder / "server.key"


@pytest.fixture(scope="session")
def registry(engine_folder: Path) -> Iterator[Registry]:
    """A registry without a password that allows deleting."""
    with serving(engine_folder / "registry") as served:
        yield served


@pytest.fixture(scope="session")
def guarded_registry(engine_folder: Path) -> Iterator[Registry]:
    """A registry that wants a login."""
    with serving(engine_folder / "guarded", guarded=True) as served:
        yield served


@pytest.fixture(scope="session")
def tls_registry(engine_folder: Path) -> Iterator[Registry]:
    """A registry that speaks TLS, by an authority of its own, and wants a login."""
    with serving(engine_folder / "tls", guarded=True, tls=True) as served:
        yield served


def tiny_program() -> bytes:
    """Write an executable for Linux on x86-64 that says WORDS: no compiler, no shell, no library."""
    code = b"\xb8\x01\x00\x00\x00\xbf\x01\x00\x00\x00"  # mov eax, 1 (write); mov edi, 1 (stdout)
    code += b"\x48\x8d\x35" + struct.pack("<i", 16)  # lea rsi, [rip + 16]: the words behind the code
    code += b"\xba" + struct.pack("<I", len(WORDS)) + b"\x0f\x05"  # mov edx, length; syscall
    code += b"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05" + WORDS  # mov eax, 60 (exit); xor edi, edi; syscall
    address, headers = 0x400000, 64 + 56
    size = headers + len(code)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    elf = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, address + headers, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    program = struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, size, size, 0x1000)
    return identity + elf + program + code


@pytest.fixture(scope="session")
def tiny_layer() -> tuple[bytes, bytes]:
    """A layer that holds one program, `/hello`: the tar, and the same compressed."""
    data = tiny_program()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("hello")
        entry.size, entry.mode = len(data), 0o755
        tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue(), gzip.compress(buffer.getvalue(), mtime=0)
