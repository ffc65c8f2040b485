"""uv's Pythons: which archive is pinned, wherever uv is told to have them from."""

import hashlib
import http.server
import os
import threading
from functools import partial

import pytest

from lading.core.errors import LockError
from lading.core.platform import Libc, Platform
from lading.fetch import HttpFetch
from lading.lock import archives

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
GLIBC = Libc("glibc", 2, 36)


@pytest.fixture
def mirror(tmp_path):
    """A folder of archives, as a mirror of python-build-standalone has them."""
    folder = tmp_path / "mirror"

    def put(version, machine="x86_64-unknown-linux-gnu", release="20251031", data=b"archive"):
        place = folder / release
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"cpython-{version}+{release}-{machine}-install_only_stripped.tar.gz"
        path.write_bytes(data)
        return path

    put.folder = folder
    return put


@pytest.fixture
def find(mirror, tmp_path):
    fetch = HttpFetch(tmp_path / "downloads")

    def run(*minors, platform=AMD64, libc=GLIBC, url=None, events=lambda _: None):
        environ = {**os.environ, "UV_PYTHON_INSTALL_MIRROR": url or mirror.folder.as_uri()}
        return archives.find(minors, platform, libc, fetch=fetch, environ=environ, events=events)

    return run


@pytest.fixture
def serve(mirror):
    handler = partial(_Quiet, directory=mirror.folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_of_a_folder_the_newest_release_that_lies_there_is_taken(mirror, find):
    mirror("3.9.7")
    path = mirror("3.9.18", data=b"newer")
    mirror("3.10.1")
    found = find("3.9")
    assert (found.path, found.version) == ("/opt/lading/python/3.9/bin/python3.9", "3.9.18")
    assert found.archive.url == path.as_uri()
    assert (found.archive.digest.hex, found.archive.size_bytes) == (hashlib.sha256(b"newer").hexdigest(), 5)


@pytest.mark.parametrize("minor", [f"3.{minor}" for minor in range(8, 15)])
def test_every_python_of_uv_is_found_for_both_processors(mirror, find, minor):
    mirror(f"{minor}.1")
    mirror(f"{minor}.1", "aarch64-unknown-linux-gnu")
    assert "x86_64" in find(minor).archive.filename
    assert "aarch64" in find(minor, platform=ARM64).archive.filename


def test_a_base_with_musl_gets_what_is_made_for_it(mirror, find):
    mirror("3.12.1")
    mirror("3.12.1", "x86_64-unknown-linux-musl")
    assert "musl" in find("3.12", libc=Libc("musl", 1, 2)).archive.filename


def test_the_first_of_several_that_is_there_is_taken(mirror, find):
    mirror("3.11.4")
    assert find("3.12", "3.13", "3.11").version == "3.11.4"


def test_a_server_is_asked_for_older_releases_where_it_lacks_the_newest(mirror, find, serve):
    name = mirror("3.9.25", data=b"served").name
    (mirror.folder / "20251031/SHA256SUMS").write_text(
        f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(b'served').hexdigest()}  {name}\n"
    )
    found = find("3.9", url=serve)
    assert found.archive.digest.hex == hashlib.sha256(b"served").hexdigest()
    assert found.archive.size_bytes == 6


def test_an_archive_that_nothing_vouches_for_is_pinned_and_told(mirror, find, serve):
    mirror("3.9.25", data=b"served")
    events = []
    assert find("3.9", url=serve, events=events.append).archive.size_bytes == 6
    assert "no SHA256SUMS" in events[0].text


def test_where_none_can_be_had_the_ways_are_named(mirror, find):
    mirror.folder.mkdir()
    with pytest.raises(LockError) as caught:
        find("3.8")
    said = str(caught.value)
    assert "Python 3.8 for linux/amd64, glibc 2.36" in said
    assert "UV_PYTHON_INSTALL_MIRROR" in said
    assert "3.11 (debian:bookworm)" in said


def test_a_libc_that_is_too_old_is_told(find):
    with pytest.raises(LockError, match=r"glibc 2\.17 or newer"):
        find("3.9", libc=Libc("glibc", 2, 12))


def test_what_was_locked_from_one_mirror_is_fetched_from_another(mirror, find, serve, tmp_path):
    mirror("3.9.25", data=b"served")
    archive = find("3.9", url=serve).archive
    assert archive.url.startswith(serve)
    here = {"UV_PYTHON_INSTALL_MIRROR": mirror.folder.as_uri()}
    fetch = archives.MirroredFetch(HttpFetch(tmp_path / "other", offline=True), here)
    assert fetch.file(archive.url, archive.digest, archive.size_bytes).read_bytes() == b"served"


def test_credentials_of_a_mirror_are_used_and_not_locked(mirror, find, serve):
    mirror("3.9.25")
    secret = serve.replace("://", "://me:s3cret-token@")
    archive = find("3.9", url=secret).archive
    assert "s3cret" not in archive.url
    assert archive.url.startswith(serve)
