"""PyTorch's builds for an accelerator: chosen by uv's own back end and from a mirror alike."""

from __future__ import annotations

import re
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
import uv

from engines import require
from lading.core import accelerator
from lading.core.accelerator import ACCELERATORS
from lading.core.errors import LockError, RegistryError
from lading.core.platform import Platform
from lading.lock import read, resolve, write
from lading.lock.accelerators import FAMILY
from smithing import TorchIndex

ARM64 = Platform.parse("linux/arm64")
X86 = "cp311-cp311-manylinux_2_28_x86_64"


@pytest.fixture
def pytorch(tmp_path, smith):
    """PyTorch's indexes of two accelerators, and an ordinary index with newer builds and what they need."""
    index = TorchIndex(tmp_path / "whl")
    for name, version, needs in (
        ("torch", "2.9.0", ("nvidia-cublas-cu12==12.6.4.1", "triton==3.5.0", "filelock")),
        ("torch", "2.8.0", ()),
        ("torchvision", "0.24.0", ("torch==2.9.0",)),
    ):
        index.wheel("cu126", name, f"{version}+cu126", *needs, tag=X86)
    index.wheel("cu126", "triton", "3.5.0", tag=X86)
    index.wheel("cpu", "torch", "2.9.0+cpu", "filelock", tag=X86)
    for name, version in (("torch", "2.9.9"), ("torch", "2.9.0"), ("triton", "3.5.0"), ("filelock", "3.0")):
        smith.wheel(name, version)
    smith.wheel("nvidia-cublas-cu12", "12.6.4.1")
    smith.wheel("app", "1.0", "torch>=2")
    return index


@pytest.fixture
def lock_of(environ, serve, fetch, resolve_base, bring_python):
    def run(question, *, variables=None, **more):
        return resolve(
            question,
            fetch=fetch,
            resolve_base=resolve_base,
            bring_python=bring_python,
            environ={**environ, "UV_DEFAULT_INDEX": serve().url, **(variables or {})},
            **more,
        )

    return run


def found(lock):
    return {one.name: one.version for one in lock.platforms[0].model}


CUDA = {
    "torch": "2.9.0+cu126",
    "triton": "3.5.0",
    "nvidia-cublas-cu12": "12.6.4.1",
    "filelock": "3.0",
}


def test_a_mirrors_builds_are_taken_and_the_rest_from_where_it_always_is(ask, lock_of, pytorch):
    lock = lock_of(ask("torch", accelerator="cu126"), pytorch_index=pytorch.folder.as_uri())
    assert found(lock) == CUDA
    urls = {one.name: unquote(one.url) for one in lock.platforms[0].model}
    assert urls["torch"].startswith(f"{pytorch.folder.as_uri()}/cu126/torch/")
    assert urls["triton"].startswith(f"{pytorch.folder.as_uri()}/cu126/triton/")
    assert urls["filelock"].startswith("http://127.0.0.1:")
    assert lock.accelerator == "cu126"


@pytest.mark.parametrize(
    ("requirement", "more"),
    [("app", {"app": "1.0"}), ("torchvision", {"torchvision": "0.24.0+cu126"}), ("torch==2.9.0", {})],
)
def test_who_asks_for_torch_makes_no_difference(ask, lock_of, pytorch, requirement, more):
    lock = lock_of(ask(requirement, accelerator="cu126"), pytorch_index=pytorch.folder.as_uri())
    assert found(lock) == {**CUDA, **more}


def test_each_accelerator_has_its_own_builds(ask, lock_of, pytorch):
    lock = lock_of(ask("app", accelerator="cpu"), pytorch_index=pytorch.folder.as_uri())
    assert found(lock) == {"app": "1.0", "torch": "2.9.0+cpu", "filelock": "3.0"}
    assert found(lock_of(ask("app"), pytorch_index=pytorch.folder.as_uri())) == {
        "app": "1.0",
        "torch": "2.9.9",
    }


def test_a_platform_that_an_accelerator_has_no_builds_for_is_named(ask, lock_of, pytorch):
    question = ask("torch", accelerator="cu126", platforms=(ARM64,))
    with pytest.raises(LockError) as caught:
        lock_of(question, pytorch_index=pytorch.folder.as_uri())
    issue = caught.value.issues[0]
    assert "'torch' has no wheel for linux/arm64" in issue.what
    assert "choose another accelerator than cu126" in issue.fix


@pytest.mark.parametrize("requirement", ["torch", "app", "torchvision"])
def test_an_accelerator_that_a_mirror_has_not_is_named_with_the_mirror(ask, lock_of, pytorch, requirement):
    mirror = pytorch.folder.as_uri()
    with pytest.raises(LockError) as caught:
        lock_of(ask(requirement, accelerator="cu118"), pytorch_index=mirror)
    issue = caught.value.issues[0]
    missing = "torch" if requirement == "app" else requirement
    assert issue.what == f"the mirror {mirror} has no folder cu118 with {missing!r}"
    assert "LADING_PYTORCH_INDEX" in issue.fix
    assert "choose another accelerator" in issue.fix
    assert "spelling" not in issue.fix


def test_what_pytorchs_own_index_has_not_is_named_with_the_accelerator(ask, lock_of, pytorch, host):
    with pytest.raises(LockError) as caught:
        lock_of(ask("torchaudio", accelerator="cu126"), variables=host.variables)
    issue = caught.value.issues[0]
    assert issue.what == "PyTorch's index of cu126 has no 'torchaudio'"
    assert "choose another accelerator" in issue.fix


def test_what_the_mirror_alone_has_need_not_be_asked_for_by_name(ask, lock_of, pytorch, smith):
    smith.wheel("seer", "1.0", "torchvision")
    lock = lock_of(ask("seer", accelerator="cu126"), pytorch_index=pytorch.folder.as_uri())
    assert found(lock) == {**CUDA, "seer": "1.0", "torchvision": "0.24.0+cu126"}


def test_the_accelerator_is_part_of_the_question_and_of_the_lock(ask, lock_of, pytorch, tmp_path):
    plain, accelerated = ask("torch"), ask("torch", accelerator="cu126")
    assert plain.digest != accelerated.digest != ask("torch", accelerator="cpu").digest
    lock = lock_of(accelerated, pytorch_index=pytorch.folder.as_uri())
    (tmp_path / "lock").mkdir()
    write(lock, tmp_path / "lock")
    assert read(tmp_path / "lock") == lock


def test_many_bytes_of_cuda_that_nobody_asked_for_are_told(ask, lock_of, smith, pytorch, monkeypatch):
    monkeypatch.setattr("lading.lock.advice._MANY_BYTES", 1000)
    smith.wheel("torch", "3.0", "nvidia-cublas-cu13")
    smith.wheel("nvidia-cublas-cu13", "1.0", size_bytes=2000)
    events = []
    lock_of(ask("torch"), events=events.append)
    (warning,) = [one.text for one in events if one.kind == "warning"]
    assert "accelerator: cpu" in warning
    assert "linux/amd64" in warning
    events.clear()
    lock_of(ask("torch", accelerator="cu126"), events=events.append, pytorch_index=pytorch.folder.as_uri())
    assert [one for one in events if one.kind == "warning"] == []


def warnings_of(lock_of, question, **more):
    events = []
    lock_of(question, events=events.append, **more)
    return [one.text for one in events if one.kind == "warning"]


def test_an_accelerator_that_chooses_nothing_is_told(ask, lock_of, pytorch):
    (warning,) = warnings_of(lock_of, ask("filelock", accelerator="cpu"))
    assert warning.startswith("accelerator cpu has chosen nothing")


def test_a_pylock_is_used_as_it_is_whatever_the_accelerator(ask, lock_of, pytorch, tmp_path):
    write(lock_of(ask("torch")), tmp_path)
    question = ask(accelerator="cpu", requirements_file=tmp_path / "pylock.toml")
    (warning,) = warnings_of(lock_of, question)
    assert warning == "pylock.toml is used as it is: accelerator cpu chooses nothing in it"


class PyTorchsHost:
    """A proxy on loopback that answers for PyTorch's host, with a certificate of its own authority."""

    def __init__(self, index: TorchIndex, folder: Path) -> None:
        self.index = index
        self.asked: set[str] = set()
        self.variables = {"SSL_CERT_FILE": str(folder / "ca.crt"), "UV_HTTP_RETRIES": "0"}
        _authority(folder)
        contexts: dict[str, ssl.SSLContext] = {}
        turn = threading.Lock()
        host = self

        def context_of(name: str) -> ssl.SSLContext:
            with turn:
                if name not in contexts:
                    contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    contexts[name].load_cert_chain(*_certificate(folder, name))
                return contexts[name]

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                data = host.document(self.path)
                self.send_response(404 if data is None else 200)
                kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data or b"")

            def do_HEAD(self):
                self.do_GET()

            def log_message(self, *_):
                pass

        class Proxy(Answer):
            def do_CONNECT(self):
                # which host it is, uv knows: its name tells it from the ordinary index
                name = self.path.removesuffix(":443")
                if "pytorch" not in name:
                    self.send_error(502)
                    return
                self.send_response(200)
                self.end_headers()
                try:
                    with context_of(name).wrap_socket(self.connection, server_side=True) as secure:
                        Answer(secure, self.client_address, self.server)
                except OSError:
                    pass
                self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        self.server.daemon_threads = True
        self.variables["HTTPS_PROXY"] = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.variables["NO_PROXY"] = "127.0.0.1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def document(self, path: str) -> bytes | None:
        parts = unquote(path).strip("/").split("/")[1:]
        if path.endswith("/"):
            self.asked.add(parts[1])
            if not (self.index.folder / parts[0] / parts[1]).is_dir():
                return None
            return self.index.page(*parts).encode()
        file = self.index.folder.joinpath(*parts)
        return file.read_bytes() if file.is_file() else None

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


_MAKE = ("req", "-x509", "-newkey", "ec", "-nodes", "-days", "2", "-pkeyopt", "ec_paramgen_curve:P-256")


def _authority(folder: Path) -> None:
    _certify(folder, "ca", "-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def _certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Make a certificate of a host by the folder's authority."""
    own = ("-subj", "/CN=host", "-addext", f"subjectAltName=DNS:{host}")
    signed = ("-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.crt", "-CAkey", "ca.key")
    _certify(folder, host, *own, *signed)
    return folder / f"{host}.crt", folder / f"{host}.key"


def _certify(folder: Path, name: str, *more: str) -> None:
    command = [require("openssl", "openssl"), *_MAKE, *more, "-keyout", f"{name}.key", "-out", f"{name}.crt"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def host(pytorch, tmp_path):
    (folder := tmp_path / "host").mkdir()
    running = PyTorchsHost(pytorch, folder)
    yield running
    running.close()


@pytest.mark.parametrize("requirement", ["torch", "app", "torchvision"])
def test_uvs_own_back_end_and_a_mirror_choose_the_same(ask, lock_of, pytorch, host, requirement):
    question = ask(requirement, accelerator="cu126")
    mirrored = lock_of(question, pytorch_index=pytorch.folder.as_uri())
    assert chosen_from(host, lock_of, question) == found(mirrored)
    assert host.asked >= {"torch", "triton"}


def chosen_from(host, lock_of, question):
    """Return what uv chose; the host is there for uv alone, so that sizes are not asked for."""
    with pytest.MonkeyPatch.context() as patch:
        chosen = {}

        def measure(wheels, fetch, tally):
            del fetch, tally
            chosen.update((one.name, one.version) for one in wheels)
            return ()

        patch.setattr("lading.lock.wheels.measure", measure)
        lock_of(question, variables=host.variables)
    return chosen


def test_the_family_is_what_uv_takes_from_pytorchs_index(host, environ, tmp_path):
    others = {"numpy", "nvidia-cublas-cu12", "torchmetrics", "torchdata", "pytorch-lightning", "safetensors"}

    def ask_uv(name):
        (folder := tmp_path / name).mkdir()
        (folder / "r.in").write_text(name)
        command = [uv.find_uv_bin(), "pip", "compile", "--no-config", "--torch-backend", "cu126", "r.in"]
        command += ["--default-index", "http://127.0.0.1:9/simple"]
        variables = {**environ, **host.variables}
        subprocess.run(command, cwd=folder, env=variables, capture_output=True, check=False)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask_uv, sorted(FAMILY | others)))
    assert host.asked == FAMILY


def test_the_accelerators_are_those_that_uv_knows():
    command = [uv.find_uv_bin(), "pip", "compile", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    told = re.sub(r"\s+", " ", text.partition("--torch-backend")[2])
    listed = re.search(r"possible values: ([^\]]*)\]", told)
    assert listed
    assert set(ACCELERATORS) == set(listed[1].split(", ")) - {"auto"}


def test_an_index_of_pytorchs_that_cannot_be_asked_is_told_with_the_way_out(ask, lock_of):
    nobody = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    with pytest.raises(RegistryError) as caught:
        lock_of(ask("torch", accelerator="cu126"), variables=nobody)
    (issue,) = caught.value.issues
    assert "/cu126/torch/" in issue.what
    assert "LADING_PYTORCH_INDEX" in issue.fix


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cu127", "one such as 'cu126', 'cu128'"),
        ("CU126", "'cu126'"),
        ("12.6", "'cu126'"),
        ("cuda-12.8", "'cu128'"),
        ("rocm6.5", "'rocm6."),
        ("cuda", "expected cpu, cu118 to cu132"),
        ("tpu", "'xpu'"),
        ("", "expected cpu"),
        ("auto", "not made for the machine that packs it"),
    ],
)
def test_an_unknown_accelerator_is_named_with_near_ones(text, told):
    assert told in accelerator.problem(text)


@pytest.mark.parametrize(
    ("name", "version"), [("cu126", (12, 6)), ("cu80", (8, 0)), ("cu130", (13, 0)), ("cpu", None)]
)
def test_a_version_of_cuda_is_read_from_the_name(name, version):
    assert accelerator.cuda(name) == version
