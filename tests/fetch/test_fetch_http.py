from __future__ import annotations

import base64
import errno
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError
from lading.core.ports import Event
from lading.fetch import HttpFetch
from lading.fetch.downloads import Downloads
from lading.http.partial import Partial

BODY = os.urandom(3 << 20)
DIGEST = Digest.of(BODY)
SCRIPT = """\
import pathlib, sys
from lading.core.digest import Digest
from lading.fetch import HttpFetch
HttpFetch(pathlib.Path(sys.argv[1])).file(sys.argv[2], Digest.parse(sys.argv[3]))
"""
DOWNLOAD = [sys.executable, "-c", SCRIPT]


@pytest.fixture
def fetch(tmp_path):
    with HttpFetch(tmp_path / "cache", backoff_s=0.01) as one:
        yield one


def left_over(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache" / "partial").glob("*"))


def test_a_file_is_downloaded_once_and_lies_under_its_digest(site, fetch, tmp_path):
    site.answers["/a"] = lambda one: site.reply(one, BODY)
    path = fetch.file(f"{site.url}/a", DIGEST, len(BODY))
    assert path.read_bytes() == BODY
    assert path == fetch.file(f"{site.url}/a", DIGEST)
    assert len(site.requests) == 1
    assert left_over(tmp_path) == []


def test_a_download_that_is_used_again_is_marked_as_used(site, fetch):
    site.answers["/a"] = lambda one: site.reply(one, BODY)
    path = fetch.file(f"{site.url}/a", DIGEST)
    os.utime(path, (0, 0))
    assert fetch.file(f"{site.url}/a", DIGEST) == path
    assert path.stat().st_mtime > time.time() - 3600


def test_a_broken_connection_is_resumed_where_it_broke(site, fetch):
    site.in_turn("/a", partial(site.break_after, body=BODY, count=2 << 20), partial(site.reply, body=BODY))
    assert fetch.file(f"{site.url}/a", DIGEST, len(BODY)).read_bytes() == BODY
    second = site.requests[1][2]
    start = int(second["range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 2 << 20
    assert second["if-range"] == '"one"'


def test_an_interrupted_run_is_resumed_by_the_next(site, tmp_path):
    site.answers["/a"] = lambda one: site.break_after(one, BODY, 2 << 20)
    with HttpFetch(tmp_path / "cache", attempts=1) as first, pytest.raises(RegistryError):
        first.file(f"{site.url}/a", DIGEST, len(BODY))
    assert left_over(tmp_path) == [DIGEST.hex]
    site.answers["/a"] = lambda one: site.reply(one, BODY)
    with HttpFetch(tmp_path / "cache") as second:
        assert second.file(f"{site.url}/a", DIGEST, len(BODY)).read_bytes() == BODY
    assert "range" in site.requests[-1][2]
    assert left_over(tmp_path) == []


def test_a_wrong_beginning_from_an_earlier_run_is_fetched_again(site, fetch, tmp_path):
    stale = tmp_path / "cache" / "partial" / DIGEST.hex
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"not the same" * 1000)
    site.answers["/a"] = lambda one: site.reply(one, BODY)
    assert fetch.file(f"{site.url}/a", DIGEST, len(BODY)).read_bytes() == BODY
    assert ["range" in headers for _, _, headers in site.requests] == [True, False]


def test_a_beginning_longer_than_the_file_is_fetched_again(site, fetch, tmp_path):
    stale = tmp_path / "cache" / "partial" / DIGEST.hex
    stale.parent.mkdir(parents=True)
    stale.write_bytes(BODY + b"more")
    site.answers["/a"] = lambda one: site.reply(one, BODY)
    assert fetch.file(f"{site.url}/a", DIGEST).read_bytes() == BODY


def test_a_server_without_ranges_sends_it_all_again(site, fetch):
    site.in_turn(
        "/a", partial(site.break_after, body=BODY, count=99999), partial(site.reply, body=BODY, ranges="no")
    )
    assert fetch.file(f"{site.url}/a", DIGEST, len(BODY)).read_bytes() == BODY


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_tried_again(site, fetch, status):
    site.in_turn("/a", partial(site.reply, body=b"", status=status), partial(site.reply, body=BODY))
    assert fetch.file(f"{site.url}/a", DIGEST).read_bytes() == BODY


def test_retry_after_is_waited_for(site, fetch):
    site.in_turn(
        "/a", partial(site.reply, body=b"", status=503, Retry_After="1"), partial(site.reply, body=b"hello")
    )
    begin = time.monotonic()
    assert fetch.text(f"{site.url}/a") == b"hello"
    assert time.monotonic() - begin >= 1.0


def test_a_lasting_failure_is_not_tried_again(site, fetch):
    with pytest.raises(RegistryError, match="404 Not Found"):
        fetch.file(f"{site.url}/gone", DIGEST)
    assert len(site.requests) == 1


def test_a_server_that_never_recovers_is_given_up(site, fetch):
    site.answers["/a"] = lambda one: site.reply(one, b"", status=503)
    with pytest.raises(RegistryError, match="503 Service Unavailable, 5 tries"):
        fetch.file(f"{site.url}/a", DIGEST)
    assert len(site.requests) == 5


def test_an_unreachable_server_is_a_registry_error(fetch):
    with pytest.raises(RegistryError, match="cannot be reached"):
        fetch.text("http://127.0.0.1:9/x")


def test_other_bytes_are_refused_and_nothing_remains(site, fetch, tmp_path):
    site.answers["/a"] = lambda one: site.reply(one, b"x" + BODY[1:])
    with pytest.raises(IntegrityError, match="expected sha256:"):
        fetch.file(f"{site.url}/a", DIGEST, len(BODY))
    assert left_over(tmp_path) == []
    assert not list((tmp_path / "cache").glob("sha256/*"))


def test_another_length_is_refused_before_the_body_is_read(site, fetch):
    site.answers["/a"] = lambda one: site.reply(one, BODY)
    with pytest.raises(IntegrityError, match=f"got {len(BODY)} bytes, expected 7 bytes"):
        fetch.file(f"{site.url}/a", DIGEST, 7)


def test_a_body_without_a_length_is_stopped_at_the_expected_one(site, fetch):
    def endless(one):
        one.send_response(200)
        one.send_header("Connection", "close")
        one.end_headers()
        one.close_connection = True
        try:
            for _ in range(1000):
                one.wfile.write(bytes(1 << 20))
        except OSError:
            pass

    site.answers["/a"] = endless
    with pytest.raises(IntegrityError, match="got more, expected 1000000 bytes"):
        fetch.file(f"{site.url}/a", DIGEST, 1000000)


def test_a_damaged_finished_download_is_fetched_again(site, fetch):
    site.answers["/a"] = lambda one: site.reply(one, BODY)
    path = fetch.file(f"{site.url}/a", DIGEST, len(BODY))
    path.write_bytes(b"cut")
    assert fetch.file(f"{site.url}/a", DIGEST, len(BODY)).read_bytes() == BODY


def test_many_threads_download_a_file_once(site, fetch):
    def slowly(one):
        time.sleep(0.2)
        site.reply(one, BODY)

    site.answers["/a"] = slowly
    threads = [threading.Thread(target=fetch.file, args=(f"{site.url}/a", DIGEST)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(site.requests) == 1


def test_two_processes_download_a_file_once(site, tmp_path):
    def slowly(one):
        time.sleep(0.5)
        site.reply(one, BODY)

    site.answers["/a"] = slowly
    argv = [*DOWNLOAD, str(tmp_path / "cache"), f"{site.url}/a", str(DIGEST)]
    processes = [subprocess.Popen(argv) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(site.requests) == 1


def test_a_killed_process_leaves_what_the_next_goes_on_with(site, tmp_path):
    sent = threading.Event()
    done = threading.Event()

    def half(one):
        one.send_response(200)
        one.send_header("Content-Length", str(len(BODY)))
        one.end_headers()
        one.wfile.write(BODY[: 2 << 20])
        sent.set()
        done.wait(30)

    site.in_turn("/a", half, partial(site.reply, body=BODY))
    process = subprocess.Popen([*DOWNLOAD, str(tmp_path / "cache"), f"{site.url}/a", str(DIGEST)])
    assert sent.wait(30)
    while not any(path.stat().st_size for path in (tmp_path / "cache" / "partial").glob("*")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    with HttpFetch(tmp_path / "cache") as fetch:
        assert fetch.file(f"{site.url}/a", DIGEST).read_bytes() == BODY
    done.set()
    assert "range" in site.requests[1][2]


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl: apt-get install openssl")
def test_the_networks_own_certificate_is_accepted_when_it_is_named(site, tmp_path, monkeypatch):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    argv = ["openssl", "req", *kind, *subject, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(argv, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    site.server.socket = context.wrap_socket(site.server.socket, server_side=True)
    site.answers["/a"] = lambda one: site.reply(one, b"hello")
    url = site.url.replace("http:", "https:") + "/a"
    with HttpFetch(tmp_path / "one") as fetch, pytest.raises(RegistryError, match="SSL_CERT_FILE"):
        fetch.text(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with HttpFetch(tmp_path / "two") as fetch:
        assert fetch.text(url) == b"hello"


def test_redirects_are_followed(site, fetch):
    site.answers["/a"] = lambda one: site.reply(one, b"", status=302, Location="/b")
    site.answers["/b"] = lambda one: site.reply(one, BODY)
    assert fetch.file(f"{site.url}/a", DIGEST).read_bytes() == BODY


def test_redirects_without_end_are_given_up(site, fetch):
    site.answers["/a"] = lambda one: site.reply(one, b"", status=302, Location="/a")
    with pytest.raises(RegistryError, match="redirected more than 10 times"):
        fetch.text(f"{site.url}/a")


def test_a_redirect_to_a_local_file_is_refused(site, fetch):
    site.answers["/a"] = lambda one: site.reply(one, b"", status=302, Location="file:///etc/passwd")
    with pytest.raises(RegistryError, match="redirected from http to file"):
        fetch.text(f"{site.url}/a")


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_given_credentials_go_to_their_host_alone(site, tmp_path):
    # the same server under another name
    other = site.url.replace("127.0.0.1", "localhost")
    site.answers["/a"] = lambda one: site.reply(one, b"", status=302, Location=f"{other}/b")
    site.answers["/b"] = lambda one: site.reply(one, b"hello")
    with HttpFetch(tmp_path, credentials={site.host: ("me", "s3cret")}) as fetch:
        assert fetch.text(f"{site.url}/a") == b"hello"
    (_, _, first), (_, _, second) = site.requests
    assert first["authorization"] == basic("me", "s3cret")
    assert "authorization" not in second


def test_credentials_in_a_url_are_used_and_never_shown(site, fetch):
    site.answers["/a"] = lambda one: site.reply(one, b"", status=403)
    url = site.url.replace("//", "//me:s3cr%40t@")
    with pytest.raises(RegistryError) as caught:
        fetch.text(f"{url}/a?token=t0ken")
    site.answers["/b"] = lambda one: site.reply(one, b"hello")
    assert fetch.text(f"{url}/b") == b"hello"
    assert site.requests[-1][2]["authorization"] == basic("me", "s3cr@t")
    assert not any(secret in str(caught.value) for secret in ("s3cr", "t0ken"))


def test_netrc_is_read(site, fetch, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    site.answers["/a"] = lambda one: site.reply(one, b"hello")
    fetch.text(f"{site.url}/a")
    assert site.requests[0][2]["authorization"] == basic("me", "s3cret")


def test_a_malformed_netrc_is_an_error_without_its_contents(site, fetch, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 logn me s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with pytest.raises(RegistryError, match="netrc") as caught:
        fetch.text(f"{site.url}/a")
    assert "s3cret" not in str(caught.value)


def test_a_proxy_for_a_host_is_used(site, tmp_path):
    site.answers["http://mirror.invalid/a"] = lambda one: site.reply(one, b"hello")
    with HttpFetch(tmp_path, proxies={"mirror.invalid": site.url}) as fetch:
        assert fetch.text("http://mirror.invalid/a") == b"hello"


def test_the_environment_names_a_proxy_and_exceptions(site, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", site.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    site.answers["http://mirror.invalid/a"] = lambda one: site.reply(one, b"by proxy")
    site.answers["/a"] = lambda one: site.reply(one, b"direct")
    with HttpFetch(tmp_path) as fetch:
        assert fetch.text("http://mirror.invalid/a") == b"by proxy"
        assert fetch.text(f"{site.url}/a") == b"direct"


def test_an_unreadable_certificate_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with HttpFetch(tmp_path) as fetch, pytest.raises(RegistryError, match="SSL_CERT_FILE"):
        fetch.text("https://127.0.0.1:9/a")


def test_a_file_url_is_copied_and_checked(fetch, tmp_path):
    source = tmp_path / "a b.bin"
    source.write_bytes(BODY)
    path = fetch.file(source.as_uri(), DIGEST, len(BODY))
    source.unlink()
    assert path.read_bytes() == BODY
    with pytest.raises(RegistryError, match="No such file"):
        fetch.file(source.as_uri(), Digest.of(b"x"))


def test_offline_has_what_is_cached_and_says_so_for_the_rest(site, fetch, tmp_path):
    site.answers["/a"] = lambda one: site.reply(one, BODY)
    site.answers["/t"] = lambda one: site.reply(one, b"hello")
    fetch.file(f"{site.url}/a", DIGEST)
    fetch.text(f"{site.url}/t")
    asked = len(site.requests)
    with HttpFetch(tmp_path / "cache", offline=True) as offline:
        assert offline.file(f"{site.url}/a", DIGEST).read_bytes() == BODY
        assert offline.text(f"{site.url}/t") == b"hello"
        for call in (partial(offline.file, digest=Digest.of(b"x")), offline.text, offline.size_bytes):
            with pytest.raises(RegistryError, match="offline"):
                call(f"{site.url}/b")
    assert len(site.requests) == asked


def test_an_unchanged_text_is_not_sent_again(site, fetch):
    def answer(one):
        if one.headers.get("If-None-Match") == '"v1"':
            site.reply(one, b"", status=304)
        else:
            site.reply(one, b"hello", ETag='"v1"')

    site.answers["/t"] = answer
    assert fetch.text(f"{site.url}/t") == b"hello"
    assert fetch.text(f"{site.url}/t") == b"hello"
    assert "if-none-match" in site.requests[1][2]


def test_a_text_longer_than_its_limit_is_refused(site, fetch):
    site.answers["/t"] = lambda one: site.reply(one, b"x" * 1001)
    with pytest.raises(IntegrityError, match="longer than 1000 bytes"):
        fetch.text(f"{site.url}/t", 1000)
    assert fetch.text(f"{site.url}/t", 1001) == b"x" * 1001


def test_a_length_is_asked_without_the_bytes(site, fetch, tmp_path):
    site.answers["/a"] = lambda one: site.reply(one, BODY)
    assert fetch.size_bytes(f"{site.url}/a") == len(BODY)
    assert site.requests[0][0] == "HEAD"
    (tmp_path / "f").write_bytes(b"12345")
    assert fetch.size_bytes((tmp_path / "f").as_uri()) == 5


def test_a_full_disk_is_said_and_nothing_is_sealed(site, fetch, tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Partial, "write", full)
    site.answers["/a"] = lambda one: site.reply(one, BODY)
    with pytest.raises(RegistryError, match="No space left on device\n  fix: free some space"):
        fetch.file(f"{site.url}/a", DIGEST)
    assert left_over(tmp_path) == []
    assert Downloads(tmp_path / "cache").find(DIGEST, None) is None


def test_progress_reaches_the_whole_length(site, tmp_path):
    seen: list[Event] = []
    site.answers["/a.whl"] = lambda one: site.reply(one, BODY)
    with HttpFetch(tmp_path, events=seen.append) as fetch:
        fetch.file(f"{site.url}/a.whl", DIGEST)
    done = [event.done for event in seen]
    assert done == sorted(done)
    assert seen[-1] == Event("fetch", "progress", "a.whl", len(BODY), len(BODY))


@pytest.mark.parametrize("url", ["gopher://x/y", "not a url", "file://elsewhere/x"])
def test_what_is_no_url_is_refused(fetch, url):
    with pytest.raises(RegistryError):
        fetch.text(url)


@pytest.mark.parametrize("folder", ["/proc/lading", "/dev/null/lading"])
def test_a_folder_that_cannot_be_is_said_with_the_way_out(folder, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with HttpFetch(Path(folder)) as fetch, pytest.raises(RegistryError) as caught:
        fetch.file((tmp_path / "file").as_uri(), Digest.of(b"x"))
    assert "LADING_HOME" in caught.value.issues[0].fix
    assert "space" not in caught.value.issues[0].fix
