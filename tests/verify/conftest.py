"""A small package without a model: Python, an environment of two distributions, a server of a few lines."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lading import sandbox, servers, verify
from lading.core.bill import Bill, BilledEnvironment, BilledExample, BilledModel, BilledPackage, BilledServer
from lading.core.digest import Digest
from lading.core.errors import VerifyError
from lading.core.platform import Platform
from lading.core.report import Report
from lading.core.signature import Signature
from lading.core.spec import Example
from sealing import PYTHON, Blobs, billed, distribution, python_files

IMAGE = Digest.of(b"image")
ROUTES = {"liveness": "/v2/health/live", "readiness": "/v2/health/ready", "scoring": "/invocations"}
SERVER = b"""
import http.server, json, os, signal, socketserver, sys, time
mode = os.environ.get("MODE", "")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("server says hello", flush=True)
if mode == "ends":
    print("ModuleNotFoundError: no module named 'sklearn'", file=sys.stderr)
    sys.exit(3)
if mode == "hangs":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, document):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data) + (mode == "short" and data != b"")))
        self.end_headers()
        if data:
            self.wfile.write(data)
    def do_GET(self):
        ready = self.path == "/v2/health/ready" and mode != "unready"
        self.answer(200 if ready else 503, b"" if ready else {"error": "the model is loading"})
    def do_POST(self):
        rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["instances"]
        if mode == "slow":
            time.sleep(100)
        if mode == "trickles":
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\n")
            while True:
                self.wfile.write(b"x")
                time.sleep(0.05)
        if mode == "refuses":
            return self.answer(400, {"error": "column 'a' is missing"})
        if mode == "dies":
            os._exit(9)
        if mode.startswith("fails: "):
            return self.answer(500, {"error": mode[len("fails: "):]})
        if mode.startswith("logs: "):
            print(mode[len("logs: "):], flush=True)
            return self.answer(500, {"error": "look at the log"})
        if mode == "no json":
            return self.answer(200, b"<html>")
        if mode == "floods":
            for _ in range(3000):
                print("x" * 1000)
        off = 0.5 if mode == "off" else 0
        self.answer(200, {"predictions": [sum(row) + off for row in rows]})
    def log_message(self, *_):
        pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("local", 0)
Server(os.environ["LADING_UDS"], Handler).serve_forever()
"""


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., object]:
    """Open a sandbox of the package, with files of one's own above."""
    blobs = Blobs()
    files: dict[str, bytes | Path | str] = {"opt/lading/server/serve.py": SERVER}
    for prefix in ("opt/lading/env", "opt/lading/server"):
        files |= {f"{prefix}/bin/python": PYTHON, f"{prefix}/pyvenv.cfg": b"home = /usr/bin\n"}
    files |= distribution("opt/lading/env", "Num-Py", "2.4.6") | distribution(
        "opt/lading/env", "sci.kit", "1.0"
    )
    files |= distribution("opt/lading/server", "uvicorn", "0.40")
    layers = [blobs.seal_files(python_files()), blobs.seal_files(files)]
    unpacked = tmp_path_factory.mktemp("unpacked")

    def opened(*more: dict[str, bytes | Path | str], **options: object) -> object:
        above = [blobs.seal_files(one) for one in more]
        try:
            return sandbox.open([*layers, *above], source=blobs, unpacked=unpacked, **options)
        except VerifyError as error:
            pytest.skip(f"no sandbox works here: {error}")

    return opened


@pytest.fixture
def bill() -> Bill:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    version = ".".join(map(str, sys.version_info[:3]))
    return Bill(
        lading="0.1.0",
        name="sum",
        version=None,
        description=None,
        tags={},
        platform=Platform.parse(f"linux/{machine}"),
        model=BilledModel(
            path="/opt/lading/model",
            format="python",
            flavour="sum",
            loader="routine",
            loader_options={},
            framework=None,
            framework_version=None,
            python=None,
            files=(),
            signature=None,
            requirements=(),
            risks=(),
            notes=(),
        ),
        environment=BilledEnvironment(
            path="/opt/lading/env",
            base="debian:bookworm",
            python=version,
            interpreter=PYTHON,
            packages=(billed("num-py", "2.4.6"), billed("sci-kit", "1.0")),
            system_packages=(),
            variables={},
        ),
        server=BilledServer("lading", "/opt/lading/server", 8080, ROUTES, (billed("uvicorn", "0.40"),)),
        code=None,
        examples=(),
        lock=Digest.of(b"lock"),
        layers=(),
    )


@pytest.fixture
def check(package: Callable[..., object], bill: Bill, tmp_path: Path) -> Callable[..., Report]:
    """Check the package, whose server behaves as `mode` says, against a bill that may be changed."""

    def checked(
        *examples: Example,
        mode: str = "",
        files: dict[str, bytes | Path | str] | None = None,
        packages: tuple[BilledPackage, ...] | None = None,
        signature: Signature | None = None,
        python: str | None = None,
        method: str = "predict",
        **options: object,
    ) -> Report:
        environment = replace(bill.environment, python=python or bill.environment.python)
        if packages is not None:
            environment = replace(environment, packages=packages)
        rows = (len(one.inputs["instances"]) for one in examples)
        listed = (BilledExample("", IMAGE, count, 1e-6, has_outputs=True) for count in rows)
        changed = replace(
            bill,
            environment=environment,
            model=replace(bill.model, signature=signature, loader_options={"method": method}),
            examples=tuple(listed),
        )
        return verify.check(
            package(*([files] if files else []), environment={"MODE": mode}),
            bill=changed,
            examples=examples,
            image=IMAGE,
            server=servers.find("lading"),
            env={"LADING_UDS": f"/tmp/{verify.SOCKET}"},
            argv=["/opt/lading/server/bin/python", "-I", "/opt/lading/server/serve.py"],
            tmp=tmp_path,
            **options,
        )

    return checked
