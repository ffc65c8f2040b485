"""Credentials reach the resolver and the downloader, and are found in nothing that is written."""

import base64
import gzip
import hashlib
import http.server
import io
import threading
import zipfile

import pytest

pytestmark = pytest.mark.network

USER, PASSWORD = "feed-user", "hunter2-feed-password"


def tiny_wheel():
    """A wheel of one module, as a private feed would have it."""
    files = {
        "greeting.py": b"WORDS = 'hello'\n",
        "greeting-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
        "greeting-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    files["greeting-1.0.dist-info/RECORD"] = (record + "greeting-1.0.dist-info/RECORD,,\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


@pytest.fixture
def feed():
    """A private index that answers to one user alone."""
    wheel = tiny_wheel()
    link = f'<a href="/greeting-1.0-py3-none-any.whl#sha256={hashlib.sha256(wheel).hexdigest()}">greeting</a>'
    pages = {"/simple/greeting/": link.encode(), "/greeting-1.0-py3-none-any.whl": wheel}
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            allowed = self.headers["Authorization"] == expected
            body = pages.get(self.path) if allowed else b""
            self.send_response(401 if not allowed else 200 if body is not None else 404)
            if not allowed:
                self.send_header("WWW-Authenticate", "Basic realm=feed")
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/zip")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/simple"
    server.shutdown()
    server.server_close()


def contents(path):
    """Yield a file's bytes, and what they are uncompressed."""
    data = path.read_bytes()
    yield data
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)


@pytest.mark.parametrize("way", ["variables", "netrc"])
def test_no_credential_is_written_anywhere(echo, feed, tmp_path, way):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "score.py").write_text("import greeting\ndef run(data):\n    return greeting.WORDS\n")
    (folder / "lading.yaml").write_text(f"requirements: [greeting]\nindexes: {{extra: ['feed={feed}']}}\n")
    own = echo[0].copy(tmp_path / "home", linked=True)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    netrc.chmod(0o600)
    if way == "variables":
        env = {"UV_INDEX_FEED_USERNAME": USER, "UV_INDEX_FEED_PASSWORD": PASSWORD}
    else:
        env = {"NETRC": str(netrc)}
    done = own.run("pack", folder, "-t", "secret:1", "-v", env=env)
    assert done.returncode == 0, done.stderr
    assert "greeting" in own("show", "secret:1")
    needles = [PASSWORD.encode(), base64.b64encode(f"{USER}:{PASSWORD}".encode())]
    said = (done.stdout + done.stderr).encode()
    places = [path for root in (own.home, folder) for path in root.rglob("*") if path.is_file()]
    assert len(places) > 100
    for needle in needles:
        assert needle not in said
        for path in places:
            if not path.is_symlink():
                assert all(needle not in data for data in contents(path)), path
