"""A sandbox and a bill in; whether interpreter, distributions and walls are what they should be, out.

The model environment's own interpreter looks around. What it reports is read as text of strangers.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lading.core.bill import Bill, BilledEnvironment, BilledPackage
from lading.core.errors import VerifyError
from lading.core.ports import Running, Sandbox
from lading.core.report import Check

_REPORT_BYTES_MAX = 16 << 20
_SHOWN = 5
_LOOK_S, _EMULATED_LOOK_S = 120.0, 1200.0
_UNSEEN = ["nothing was seen"]

# Name and Version stand in METADATA's headers; importlib.metadata would read all of each file
_SCRIPT = """
import json, os, platform, socket, sys
def head(path):
    fields = {}
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if not line.strip():
                break
            key, _, value = line.partition(":")
            fields.setdefault(key.lower(), value.strip())
    return fields.get("name", path), fields.get("version", "")
def distributions(folders):
    found = []
    for folder in folders:
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if entry.endswith((".dist-info", ".egg-info")):
                name = "METADATA" if entry.endswith(".dist-info") else "PKG-INFO"
                path = os.path.join(folder, entry)
                found.append(head(os.path.join(path, name) if os.path.isdir(path) else path))
    return found
def writable(path):
    try:
        with open(path, "x"):
            pass
        os.remove(path)
        return True
    except OSError:
        return False
def reaches(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(address)
            return True
        except OSError:
            return False
report = {
    "python": platform.python_version(),
    "machine": platform.machine(),
    "model": distributions([p for p in sys.path if p.endswith("-packages")]),
    "server": distributions([sys.argv[1]]),
    "user": "%d:%d" % (os.getuid(), os.getgid()),
    "writable": [p for p in ("/", "/opt", "/opt/lading", "/usr", "/etc") if writable(p + "/.lading-probe")],
    "tmp": writable("/tmp/.lading-probe"),
    "interfaces": sorted(name for _, name in socket.if_nameindex() if name != "lo"),
    "reaches": reaches(("192.0.2.1", 9)),
}
with open("/tmp/report.json", "x", encoding="utf-8") as stream:
    json.dump(report, stream)
"""


@contextlib.contextmanager
def looking(sandbox: Sandbox, bill: Bill, tmp: Path, env: Mapping[str, str]) -> Iterator[list[Check]]:
    """Let the model environment's interpreter look around meanwhile; what it saw is there at the end."""
    checks: list[Check] = []
    try:
        running = _start(sandbox, bill, tmp, env)
    except VerifyError as error:
        yield checks
        checks.append(Check("environment", passed=False, detail=error.issues[0].what))
        return
    try:
        yield checks
        checks += _finish(running, bill, tmp, _EMULATED_LOOK_S if sandbox.emulated else _LOOK_S)
    finally:
        running.stop(0)


def _start(sandbox: Sandbox, bill: Bill, tmp: Path, env: Mapping[str, str]) -> Running:
    minor = ".".join((bill.server.python or bill.environment.python).split(".")[:2])
    packages = f"{bill.server.path}/lib/python{minor}/site-packages"
    argv = [f"{bill.environment.path}/bin/python", "-I", "-c", _SCRIPT, packages]
    return sandbox.start(argv, env=env, tmp=tmp)


def _finish(running: Running, bill: Bill, tmp: Path, timeout_s: float) -> list[Check]:
    try:
        status = running.wait(timeout_s)
    except TimeoutError as error:
        return [Check("environment", passed=False, detail=str(error))]
    seen = _read(tmp / "report.json") if status == 0 else None
    if seen is None:
        detail = f"the environment's interpreter ended with {status}: {running.output()[-1000:]}"
        return [Check("environment", passed=False, detail=detail)]
    of_server = _versions(bill.server.packages)
    checks = [_interpreter(seen, bill)]
    if bill.model.compiled is None or bill.environment.packages:
        checks.append(_distributions("distributions", seen.get("model"), _billed(bill.environment)))
    if bill.server.path != bill.environment.path or bill.model.compiled:
        checks.append(_distributions("server distributions", seen.get("server"), of_server))
    return [*checks, _read_only(seen), _no_network(seen)]


def _read(path: Path) -> Mapping[str, Any] | None:
    """Read what was left in a sandbox's /tmp: a plain file of a sane length, or nothing."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return None
            document = json.loads(stream.read(_REPORT_BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _interpreter(seen: Mapping[str, Any], bill: Bill) -> Check:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[bill.platform.architecture]
    got = f"Python {seen.get('python')} on {seen.get('machine')}"
    expected = f"Python {bill.environment.python} on {machine}"
    detail = got if got == expected else f"got {got}, expected {expected}"
    return Check("interpreter", got == expected, detail)


def _billed(environment: BilledEnvironment) -> dict[str, str]:
    """Return the version of each distribution, those of conda packages among them."""
    of_conda = (one.partition("==") for each in environment.conda_packages for one in each.distributions)
    return {_normal(name): version for name, _, version in of_conda} | _versions(environment.packages)


def _versions(packages: Iterable[BilledPackage]) -> dict[str, str]:
    return {_normal(one.name): one.version for one in packages}


def _distributions(name: str, seen: object, expected: Mapping[str, str]) -> Check:
    """Every locked distribution at its version, none missing, none besides."""
    got: dict[str, str] = {}
    problems = []
    for entry in seen if isinstance(seen, list) else ():
        match entry:
            case [str(found), str(version)]:
                if _normal(found) in got:
                    problems.append(f"{found}: there twice, {got[_normal(found)]} and {version}")
                got[_normal(found)] = version
            case _:
                problems.append(f"got {entry!r}, expected name and version")
    for key in sorted(expected.keys() | got.keys()):
        if key not in got:
            problems.append(f"{key}: missing, expected {expected[key]}")
        elif key not in expected:
            problems.append(f"{key}: got {got[key]}, which is not locked")
        elif got[key] != expected[key]:
            problems.append(f"{key}: got {got[key]}, expected {expected[key]}")
    return Check(name, not problems, first(problems) if problems else f"{len(expected)} as locked")


def _read_only(seen: Mapping[str, Any]) -> Check:
    writable = seen.get("writable")
    problems = [f"{path} can be written" for path in writable] if isinstance(writable, list) else _UNSEEN
    problems = problems if seen.get("tmp") is True else [*problems, "its /tmp cannot be written"]
    detail = ", ".join(problems) or f"user {seen.get('user')} can write to /tmp and nowhere else"
    return Check("read-only root", not problems, detail)


def _no_network(seen: Mapping[str, Any]) -> Check:
    interfaces = seen.get("interfaces")
    problems = [f"interface {name}" for name in interfaces] if isinstance(interfaces, list) else _UNSEEN
    problems = problems if seen.get("reaches") is False else [*problems, "there is a route out"]
    return Check("no network", not problems, ", ".join(problems) or "loopback alone")


def _normal(name: str) -> str:
    """Return a distribution's normalised name (PyPA specification, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower()


def first(problems: list[str]) -> str:
    """Return the first five, and how many more there are."""
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more
