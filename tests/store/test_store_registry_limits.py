"""Registries that die, forbid, list page by page, or answer with too much; memory while blobs travel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engines import Registry, serving
from lading.core import canonical
from lading.core.descriptor import INDEX, LAYER_GZIP, MANIFEST, REPORT, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError
from lading.core.reference import Reference
from lading.store import LayoutStore, RegistryStore, documents, registry_upload
from lading.store.copy import copy
from meddler import Meddler

PIECE = 1 << 20

COPY = """
import sys
from pathlib import Path
from lading.core.reference import Reference
from lading.store import LayoutStore, RegistryStore
from lading.store.copy import copy
way, host, repository, folder = sys.argv[1:]
def peak_kib():
    # getrusage(2) begins with what the parent had
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
layout = LayoutStore(Path(folder))
with RegistryStore(host, repository, attempts=2) as remote:
    there = Reference.parse(f"{host}/{repository}:1")
    before = peak_kib()
    if way == "push":
        image = layout.resolve(Reference.parse("iris:1"))
        copy(layout, image, remote)
        remote.tag(there, image)
    else:
        image = remote.resolve(there)
        copy(remote, image, layout)
        layout.tag(Reference.parse("iris:1"), image)
    print(peak_kib() - before)
"""


def start(way: str, host: str, repository: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", COPY, way, host, repository, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(process: subprocess.Popen[bytes]) -> int:
    out, err = process.communicate(timeout=250)
    assert process.returncode == 0, err.decode()
    return int(out)


def image_of(author: Any, layout: LayoutStore, layer: Descriptor) -> Descriptor:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": author.blob(layout, b"{}").to_json(),
        "layers": [layer.to_json()],
    }
    image: Descriptor = author.blob(layout, canonical.encode(document), MANIFEST)
    layout.tag(Reference.parse("iris:1"), image)
    return image


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "layout")


def test_a_registry_that_dies_in_the_middle_and_comes_back_gets_all(
    layout: LayoutStore, author: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_upload, "PIECE_BYTES", PIECE)
    image = image_of(author, layout, author.blob(layout, os.urandom(4 * PIECE)))
    with ExitStack() as stack:
        first = stack.enter_context(serving(tmp_path / "registry"))
        meddler = stack.enter_context(closing(Meddler(first.host)))
        port = int(first.host.rpartition(":")[2])

        def die_and_come_back() -> None:
            os.kill(first.pid, signal.SIGKILL)
            stack.enter_context(serving(tmp_path / "registry", port=port))

        meddler.harm("PATCH", "uploads", skip=1, cut_request_after=PIECE // 2, then=die_and_come_back)
        with RegistryStore(meddler.host, "iris", backoff_s=0.2) as remote:
            copy(layout, image, remote)
            remote.tag(Reference(remote.registry, "iris", "1"), image)
            for part in documents.walk(remote, image):
                with remote.open(part.digest) as stream:
                    assert Digest.of(stream.read()) == part.digest


def test_a_registry_that_dies_between_two_pieces_and_comes_back_is_sent_the_rest(
    layout: LayoutStore, author: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_upload, "PIECE_BYTES", PIECE)
    blob = author.blob(layout, os.urandom(4 * PIECE))
    with ExitStack() as stack:
        first = stack.enter_context(serving(tmp_path / "registry"))
        meddler = stack.enter_context(closing(Meddler(first.host)))
        port = int(first.host.rpartition(":")[2])

        def die_and_come_back() -> None:
            os.kill(first.pid, signal.SIGKILL)
            stack.enter_context(serving(tmp_path / "registry", port=port))

        meddler.harm("PATCH", "uploads", skip=2, status=502, first=die_and_come_back)
        with RegistryStore(meddler.host, "iris", backoff_s=0.2) as remote:
            copy(layout, blob, remote)
            assert meddler.sent_bytes == blob.size_bytes
            with remote.open(blob.digest) as stream:
                assert Digest.of(stream.read()) == blob.digest


def test_a_registry_that_dies_for_good_is_told_and_nothing_is_named(
    layout: LayoutStore, author: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_upload, "PIECE_BYTES", PIECE)
    image = image_of(author, layout, author.blob(layout, os.urandom(4 * PIECE)))
    with serving(tmp_path / "registry") as served, closing(Meddler(served.host)) as meddler:
        meddler.harm(
            "PATCH", "uploads", cut_request_after=9, then=lambda: os.kill(served.pid, signal.SIGKILL)
        )
        with (
            RegistryStore(meddler.host, "iris", attempts=3, backoff_s=0.01) as remote,
            pytest.raises(RegistryError, match=f"{meddler.host}.*tries"),
        ):
            copy(layout, image, remote)
    with serving(tmp_path / "registry") as again, RegistryStore(again.host, "iris") as remote:
        assert remote.tag_names() == []
        assert remote.size_bytes(image.digest) is None


def test_a_pull_that_was_killed_is_gone_on_with(
    layout: LayoutStore, author: Any, tmp_path: Path, meddler: Meddler
) -> None:
    layer = author.blob(layout, os.urandom(8 * PIECE))
    image = image_of(author, layout, layer)
    repository = uuid.uuid4().hex
    finished(start("push", meddler.host, repository, layout.folder))
    pulling: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        unfinished = tmp_path / "there/.ingest" / layer.digest.hex
        while unfinished.stat().st_size < 5 * PIECE:
            pass
        pulling[0].kill()
        pulling[0].wait()

    meddler.harm("GET", layer.digest.hex, cut_response_after=6 * PIECE, then=kill)
    pulling.append(start("pull", meddler.host, repository, tmp_path / "there"))
    _, err = pulling[0].communicate(timeout=100)
    assert pulling[0].returncode == -signal.SIGKILL, err.decode()
    there = LayoutStore(tmp_path / "there")
    assert there.size_bytes(layer.digest) is None
    finished(start("pull", meddler.host, repository, there.folder))
    assert meddler.asked("GET", layer.digest.hex)[-1].received_bytes <= 3 * PIECE
    assert all(there.is_sound(part.digest) for part in documents.walk(there, image))


def test_a_large_blob_is_never_in_memory(
    layout: LayoutStore, author: Any, tmp_path: Path, registry: Registry
) -> None:
    size_bytes = 300 << 20
    with layout.create() as blob:
        piece = bytes(PIECE)
        for _ in range(size_bytes // PIECE):
            blob.write(piece)
        layer = Descriptor(LAYER_GZIP, blob.commit(), size_bytes)
    image_of(author, layout, layer)
    repository = uuid.uuid4().hex
    for way, folder in (("push", layout.folder), ("pull", tmp_path / "there")):
        grown_kib = finished(start(way, registry.host, repository, folder))
        assert grown_kib < 100 << 10, way


def test_a_registry_that_forbids_deleting_says_so_and_keeps_the_name(author: Any, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "registry", deleting=False) as served,
        RegistryStore(served.host, "iris") as remote,
    ):
        name = Reference(remote.registry, "iris", "1")
        image = author.image(remote)
        remote.tag(name, image)
        forbidden: list[Callable[[], object]] = [
            lambda: remote.untag(name),
            lambda: remote.delete(image.digest),
            lambda: remote.delete(Digest.of(b"layer")),
        ]
        for act in forbidden:
            with pytest.raises(RegistryError, match="forbids deleting") as caught:
                act()
            assert "storage.delete.enabled" in str(caught.value)
        assert remote.resolve(name) == image
        assert remote.tag_names() == ["1"]


class StandIn:
    """What the registry at hand lacks: the referrers endpoint, pages of tags, and an answer without end."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                stand_in.asked.append((self.command, self.path))
                status, headers, body = stand_in.answers.get(self.path, (404, {}, b"{}"))
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = handle_any  # noqa: N815 the names http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients that hang up
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def host(self) -> str:
        return f"localhost:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with closing(StandIn()) as one:
        yield one


@pytest.fixture
def simple(stand_in: StandIn) -> Iterator[RegistryStore]:
    with RegistryStore(stand_in.host, "iris", attempts=2, backoff_s=0.01) as one:
        yield one


def test_a_registry_that_lists_referrers_is_asked_page_by_page_and_writes_no_tag(
    stand_in: StandIn, simple: RegistryStore, author: Any, layout: LayoutStore
) -> None:
    image = author.image(layout)
    reports = [author.report(layout, image, text) for text in (b"one", b"two")]
    where = f"/v2/iris/referrers/{image.digest}"
    pages = [
        json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [one.to_json()]}).encode()
        for one in reports
    ]
    kind = {"Content-Type": INDEX}
    stand_in.answers[where] = (200, {**kind, "Link": f'<{where}?page=2>; rel="next"'}, pages[0])
    stand_in.answers[f"{where}?page=2"] = (200, kind, pages[1])
    assert list(simple.referrers(image.digest)) == reports
    assert {one.artifact_type for one in simple.referrers(image.digest)} == {REPORT}
    for part in documents.walk(layout, reports[0]):
        with layout.open(part.digest) as stream:
            data = stream.read()
        manifest = part.media_type == MANIFEST
        path = f"/v2/iris/{'manifests' if manifest else 'blobs'}/{part.digest}"
        stand_in.answers[path] = (200, {"Content-Type": part.media_type}, data)
    for part in documents.walk(layout, image):
        with layout.open(part.digest) as stream:
            stand_in.answers[f"/v2/iris/blobs/{part.digest}"] = (200, {}, stream.read())
    simple.refer(reports[0])
    assert not [asked for asked in stand_in.asked if asked[0] == "PUT"]


def test_tags_are_listed_page_by_page(stand_in: StandIn, simple: RegistryStore) -> None:
    fallback = f"sha256-{Digest.of(b'').hex}"
    first = "/v2/iris/tags/list?n=1000"
    link = {"Link": '</v2/iris/tags/list?n=1000&last=b>; rel="next"'}
    stand_in.answers[first] = (200, link, json.dumps({"name": "iris", "tags": ["b", fallback]}).encode())
    stand_in.answers[f"{first}&last=b"] = (200, {}, b'{"name":"iris","tags":["a"]}')
    assert simple.tag_names() == ["a", "b"]


def test_pages_that_lead_in_a_circle_come_to_an_end(stand_in: StandIn, simple: RegistryStore) -> None:
    first = "/v2/iris/tags/list?n=1000"
    stand_in.answers[first] = (200, {"Link": f'<{first}>; rel="next"'}, b'{"tags":["a"]}')
    assert simple.tag_names() == ["a"]


def test_a_manifest_beyond_what_registries_accept_is_not_read(
    stand_in: StandIn, simple: RegistryStore
) -> None:
    body = b"{" + b" " * documents.LIMIT_BYTES + b"}"
    stand_in.answers[f"/v2/iris/manifests/{Digest.of(body)}"] = (200, {"Content-Type": MANIFEST}, body)
    with pytest.raises(RegistryError, match="more than 4194304 bytes"), simple.open(Digest.of(body)):
        pass


def test_a_manifest_that_is_claimed_to_be_another_is_refused(
    stand_in: StandIn, simple: RegistryStore
) -> None:
    other = str(Digest.of(b"other"))
    for path in (f"/v2/iris/manifests/{Digest.of(b'{}')}", f"/v2/iris/blobs/{Digest.of(b'{}')}"):
        stand_in.answers = {
            path: (200, {"Content-Type": MANIFEST, "Docker-Content-Digest": other}, b"{}"),
        }
        with pytest.raises(IntegrityError, match=other), simple.open(Digest.of(b"{}")):
            pass


@pytest.mark.parametrize("body", [b"", b"[]", b'{"tags":7}', b'{"tags":[7]}', b"<html>"])
def test_a_server_that_is_no_registry_is_told_from_one(
    stand_in: StandIn, simple: RegistryStore, body: bytes
) -> None:
    stand_in.answers["/v2/iris/tags/list?n=1000"] = (200, {}, body)
    with pytest.raises(RegistryError, match="no list of tags"):
        simple.tag_names()


def test_nobody_listening_is_told_soon(simple: RegistryStore, stand_in: StandIn) -> None:
    stand_in.server.server_close()
    with (
        RegistryStore("localhost:1", "iris", backoff_s=0.01) as nobody,
        pytest.raises(RegistryError, match=r"^localhost:1: cannot be reached") as caught,
    ):
        nobody.tag_names()
    assert "whether a registry listens there" in str(caught.value)
    assert "--offline" not in str(caught.value)


def test_a_repository_that_is_not_known_is_not_said_to_be_listed(registry: Registry) -> None:
    with (
        RegistryStore(registry.host, "never/pushed") as remote,
        pytest.raises(RegistryError, match="is not in the registry") as caught,
    ):
        remote.resolve(Reference(registry.host, "never/pushed", "1"))
    assert "lading list" not in str(caught.value)
    assert f"{registry.host}/never/pushed has no names that you may see" in str(caught.value)
    assert f"lading login {registry.host}" in str(caught.value)
