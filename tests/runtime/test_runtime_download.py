"""What a package fetches at its start: all of it, right, or nothing."""

import base64
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from engines import PASSWORD, USER
from lading_runtime.download import __main__ as launcher
from lading_runtime.download import place, transfer, view
from lading_runtime.download.failure import FetchError
from lading_runtime.download.registry import Repository
from lading_runtime.download.sources import open_source
from lading_runtime.download.transfer import Progress
from lading_runtime.download.wanted import File, Wanted, read

CONTENTS = {
    "MLmodel": b"flavors: {}\n",
    "weights/big.bin": random.Random(7).randbytes(300_000),
    "weights/empty": b"",
    "a b#?.txt": b"a name that a URL has to quote\n",
}


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def wanted(*sources, contents=CONTENTS):
    files = [File(path, len(data), digest(data)) for path, data in contents.items()]
    return Wanted("model", "model", tuple(files), sources)


def bill(*sources, contents=CONTENTS):
    files = [{"path": one.path, "size_bytes": one.size_bytes, "digest": one.digest} for one in wanted().files]
    return {"model": {"mode": "download", "files": files, "sources": sources}}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(transfer, "PIECE_BYTES", 50_000)
    monkeypatch.setattr(transfer, "_PAUSE_S", 0.001)


@pytest.fixture
def full(shop):
    """A shop that has the model below /m/."""
    shop.files = {f"/m/{path}": data for path, data in CONTENTS.items()}
    shop.files["/m/a%20b%23%3F.txt"] = CONTENTS["a b#?.txt"]
    return shop


def provide(one, cache, **environ):
    said = []
    variables = {"LADING_MODEL_CACHE": str(cache), **environ}
    return Path(place.provide(one, variables, Progress(0), said.append))


def check(folder):
    found = {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    assert found == CONTENTS


def test_a_model_is_fetched_in_parallel_pieces_and_cached_by_digest(full, tmp_path):
    one = wanted(f"{full.url}m/")
    folder = provide(one, tmp_path)
    check(folder)
    assert folder.name == one.key
    asked = len(full.asked)
    assert {part for path, part, _ in full.asked if "big" in path} >= {"bytes=0-49999", "bytes=250000-299999"}
    check(provide(one, tmp_path))
    assert len(full.asked) == asked, "what is cached is not asked for"


def test_a_connection_that_breaks_goes_on_where_it_broke(full, tmp_path):
    full.cut_after, full.cuts = 20_000, 5
    check(provide(wanted(f"{full.url}m/"), tmp_path))
    assert any(
        int(part.removeprefix("bytes=").partition("-")[0]) % 50_000 for _, part, _ in full.asked if part
    )


def test_a_server_without_ranges_is_read_from_its_beginning(full, tmp_path):
    full.ranges = False
    full.cut_after, full.cuts = 100_000, 2
    check(provide(wanted(f"{full.url}m/"), tmp_path))


def test_pieces_of_an_earlier_process_are_gone_on_with(full, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "_TRIES", 1)
    monkeypatch.setattr(transfer, "AT_ONCE", 1)
    one = wanted(f"{full.url}m/")
    data = full.files.pop("/m/a%20b%23%3F.txt")
    with pytest.raises(FetchError, match="404"):
        provide(one, tmp_path)
    assert not (tmp_path / one.key).exists(), "nothing is seen that is not whole"
    full.files["/m/a%20b%23%3F.txt"] = data
    full.asked.clear()
    check(provide(one, tmp_path))
    assert [path for path, _, _ in full.asked] == ["/m/a%20b%23%3F.txt"]


@pytest.mark.parametrize("harm", ["flipped", "longer", "shorter"])
def test_a_file_that_is_another_is_refused_and_never_seen(full, tmp_path, harm):
    path, data = "/m/weights/big.bin", CONTENTS["weights/big.bin"]
    full.files[path] = {"flipped": b"x" + data[1:], "longer": data + b"x", "shorter": data[:-1]}[harm]
    with pytest.raises(FetchError, match="another") as caught:
        provide(wanted(f"{full.url}m/"), tmp_path)
    assert caught.value.final
    assert not (tmp_path / wanted().key).exists()


def test_a_length_that_is_a_lie_takes_no_more_than_the_bill_says(full, tmp_path):
    full.length = 10**12
    with pytest.raises(FetchError, match="and the bill says"):
        provide(wanted(f"{full.url}m/"), tmp_path)


def test_the_next_source_has_what_the_first_has_not_or_has_wrong(full, tmp_path):
    full.files |= {f"/wrong/{path}": data[::-1] for path, data in CONTENTS.items()}
    sources = (f"{full.url}gone/", f"{full.url}wrong/", f"{full.url}m/")
    check(provide(wanted(*sources), tmp_path))


def test_a_redirect_keeps_the_range_and_loses_the_credentials(full, tmp_path):
    full.redirect = f"http://localhost:{full.port}/real"
    check(provide(wanted(f"{full.url}m/"), tmp_path, LADING_SOURCE_TOKEN="t0ken"))
    real = [login for path, _, login in full.asked if path.startswith("/real")]
    first = [login for path, _, login in full.asked if not path.startswith("/real")]
    assert set(real) == {""}
    assert set(first) == {"Bearer t0ken"}


@pytest.mark.parametrize("target", ["file:///etc", "ftp://127.0.0.1", "data:,"])
def test_a_redirect_to_another_scheme_is_refused(full, tmp_path, target):
    full.redirect = target
    with pytest.raises(FetchError):
        provide(wanted(f"{full.url}m/"), tmp_path)


def test_a_refusal_says_what_to_do_and_never_the_secret(full, tmp_path):
    full.token = "Bearer right"
    with pytest.raises(FetchError, match=r"401.*LADING_SOURCE_TOKEN") as caught:
        provide(wanted(f"{full.url}m/?sig=hidden"), tmp_path, LADING_SOURCE_TOKEN="wr0ng")
    assert "wr0ng" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_server_that_is_down_for_a_moment_is_asked_again(full, tmp_path):
    full.failures = 4
    check(provide(wanted(f"{full.url}m/"), tmp_path))


def test_a_damaged_copy_in_the_cache_is_mended(full, tmp_path):
    one = wanted(f"{full.url}m/")
    folder = provide(one, tmp_path)
    (folder / "MLmodel").write_bytes(b"flavors: []\n")
    (folder / "more").write_bytes(b"")
    full.asked.clear()
    check(provide(one, tmp_path))
    assert [path for path, _, _ in full.asked] == ["/m/MLmodel"]


def test_two_that_want_the_same_at_once_fetch_it_once(full, tmp_path):
    one, errors = wanted(f"{full.url}m/"), []
    full.gate = threading.Event()

    def run():
        try:
            check(provide(one, tmp_path))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    full.gate.set()
    for thread in threads:
        thread.join()
    assert not errors
    names = [(path, part) for path, part, _ in full.asked]
    assert len(names) == len(set(names))


def test_files_and_layouts_are_sources_too(tmp_path):
    (tmp_path / "m/weights").mkdir(parents=True)
    (blobs := tmp_path / "layout/blobs/sha256").mkdir(parents=True)
    for path, data in CONTENTS.items():
        (tmp_path / "m" / path).write_bytes(data)
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    check(provide(wanted(f"file://{tmp_path}/m/"), tmp_path / "one"))
    check(provide(wanted(f"oci-layout://{tmp_path}/layout"), tmp_path / "two"))
    with pytest.raises(FetchError, match="is the volume mounted"):
        provide(wanted(f"file://{tmp_path}/other/"), tmp_path / "three")


def test_a_cache_that_cannot_be_written_is_told(full, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(FetchError, match="LADING_MODEL_CACHE"):
        provide(wanted(f"{full.url}m/"), blocked)


@pytest.mark.parametrize("text", ["ftp://a/b", "oci://a", "nothing", "oci://h/UPPER", "file://host/a"])
def test_a_source_that_is_none_is_refused(text):
    with pytest.raises(FetchError, match="expected"):
        open_source(text, {})


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", "a/../b", "", "a\0b"])
def test_a_bill_whose_paths_lead_out_is_refused(path):
    entry = {"path": path, "size_bytes": 1, "digest": digest(b"x")}
    with pytest.raises(FetchError, match="malformed"):
        read({"model": {"mode": "download", "files": [entry]}})


def test_blobs_of_a_guarded_registry_are_had_by_a_docker_config(guarded_registry, tmp_path):
    push = f"http://{guarded_registry.host}/v2/models/iris/blobs/uploads/"
    login = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
    for data in CONTENTS.values():
        asked = urllib.request.Request(push, method="POST", headers={"Authorization": login})
        with urllib.request.urlopen(asked) as answer:
            place_to = answer.headers["Location"]
        mark = "&" if "?" in place_to else "?"
        headers = {"Authorization": login, "Content-Type": "application/octet-stream"}
        url = f"{place_to}{mark}digest={digest(data)}"
        urllib.request.urlopen(urllib.request.Request(url, data, headers, method="PUT")).close()
    source = f"oci://{guarded_registry.host}/models/iris"
    with pytest.raises(FetchError, match="401"):
        provide(wanted(source), tmp_path / "cache", HOME=str(tmp_path))
    entry = {"auths": {guarded_registry.host: {"auth": login.removeprefix("Basic ")}}}
    (tmp_path / "config.json").write_text(json.dumps(entry))
    check(provide(wanted(source), tmp_path / "cache", DOCKER_CONFIG=str(tmp_path)))
    variables = {"LADING_SOURCE_USERNAME": USER, "LADING_SOURCE_PASSWORD": PASSWORD}
    check(provide(wanted(source), tmp_path / "other", **variables))


def test_a_registry_that_is_not_this_machine_is_spoken_to_by_tls():
    file = File("a", 1, digest(b"a"))
    with pytest.raises(FetchError, match=r"https://registry\.invalid/v2/team/iris"):
        Repository("oci://registry.invalid/team/iris", {}).get(file, 0, 1)


def start(tmp_path, *arguments, **environ):
    variables = {**os.environ, "LADING_BILL": str(tmp_path / "bill.json"), **environ}
    variables |= {
        "LADING_MODEL_LINKS": str(tmp_path / "links"),
        "LADING_MODEL_CACHE": str(tmp_path / "cache"),
    }
    return subprocess.Popen(
        [sys.executable, "-I", launcher.__file__, *arguments],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_launcher_becomes_the_server_once_the_model_is_there(full, tmp_path):
    (tmp_path / "bill.json").write_text(json.dumps(bill(f"{full.url}m/")))
    code = "import os,sys; print(open(sys.argv[1]).read(), os.environ.get('LADING_SOURCE_TOKEN'))"
    command = [sys.executable, "-c", code, f"{tmp_path}/links/model/MLmodel"]
    process = start(tmp_path, "--", *command, LADING_SOURCE_TOKEN="secret")
    out, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert out == "flavors: {}\n None\n"
    assert "model: 0.3 MB verified" in log


def test_the_launcher_gives_up_with_what_to_do(full, tmp_path):
    full.token = "another"
    (tmp_path / "bill.json").write_text(json.dumps(bill(f"{full.url}m/")))
    process = start(tmp_path, "--", "/bin/true", LADING_DOWNLOAD_PATIENCE_S="0")
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "giving up" in log
    assert "LADING_SOURCE_TOKEN" in log


def test_the_launcher_ends_at_sigterm_and_the_next_goes_on(full, tmp_path):
    full.gate = threading.Event()
    (tmp_path / "bill.json").write_text(json.dumps(bill(f"{full.url}m/")))
    process = start(tmp_path, "--", "/bin/true")
    while not full.asked:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.communicate()
    full.gate.set()
    process = start(tmp_path, "--", "/bin/true")
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log


def test_objects_of_s3_are_fetched_by_obstore(tmp_path, s3):
    address, client = s3
    client.create_bucket(Bucket="models")
    for path, data in CONTENTS.items():
        client.put_object(Bucket="models", Key=f"iris/1/{path}", Body=data)
    check(provide(wanted("s3://models/iris/1/"), tmp_path, AWS_ENDPOINT_URL=address))
    with pytest.raises(FetchError, match="s3://models/iris/2"):
        provide(wanted("s3://models/iris/2/"), tmp_path / "other", AWS_ENDPOINT_URL=address)


ROUTINE = """
import os

def init():
    global words
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "words.txt")) as stream:
        words = stream.read()

def run(data):
    return words
"""


@pytest.fixture
def arriving(shop, serve, tmp_path):
    """Serve a model that is in the shop alone."""
    data = shop.files["/m/words.txt"] = b"here"
    model = {
        "path": str(tmp_path / "links/model"),
        "mode": "download",
        "files": [{"path": "words.txt", "size_bytes": len(data), "digest": digest(data)}],
        "sources": [f"{shop.url}m/"],
    }
    environ = {
        "LADING_MODEL_LINKS": str(tmp_path / "links"),
        "LADING_MODEL_CACHE": str(tmp_path / "cache"),
        "LADING_DOWNLOAD_PATIENCE_S": "30",
        "LADING_SOURCE_TOKEN": "t0ken",
    }
    files = {"score.py": ROUTINE}
    return lambda: serve(entry="score.py", files=files, bill_model=model, environ=environ, ready=False)


def await_body(served, text):
    deadline = time.monotonic() + 20
    while True:
        try:
            status, body, _ = served.get("/v2/health/ready")
        except OSError:
            status, body = 0, b""
        if text in body.decode():
            return status, json.loads(body)
        assert time.monotonic() < deadline, (body, served.log)
        time.sleep(0.02)


def test_the_native_server_is_live_and_not_ready_while_its_model_is_on_its_way(shop, arriving):
    shop.gate = threading.Event()
    with arriving() as served:
        status, body = await_body(served, "downloading")
        assert status == 503
        assert "0.0 MB of " in body["error"]
        assert served.get("/v2/health/live")[0] == 200
        assert served.post({}, "/score")[0] == 503
        shop.gate.set()
        served.await_ready()
        assert served.post({}, "/score") == (200, "here")
        worker = Path(f"/proc/{served.worker_pid()}/environ").read_bytes()
        assert b"t0ken" not in worker
        assert served.stop() == 0
    with arriving() as served:  # it is in the cache
        shop.gate = threading.Event()
        served.await_ready()


def test_readiness_says_why_a_model_cannot_be_had_and_what_to_do(shop, arriving):
    shop.token = "Bearer another"
    with arriving() as served:
        status, body = await_body(served, "401")
        assert status == 503
        assert "LADING_SOURCE_TOKEN" in body["error"]
        assert "t0ken" not in body["error"] + served.log
        shop.token = ""
        served.await_ready()


def test_a_server_ends_while_its_model_is_on_its_way(shop, arriving):
    shop.gate = threading.Event()
    with arriving() as served:
        await_body(served, "downloading")
        (child,) = served.child_pids()
        assert served.stop() == 0, served.log
        assert not Path(f"/proc/{child}").exists()


@pytest.fixture
def s3(monkeypatch):
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=address)
    yield address, client
    client.close()
    server.stop()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_script_finds_its_model_in_a_folder_without_links(tmp_path, elsewhere):
    """MLflow takes a link for an escape; files of a volume, which cannot be linked to, are copied."""
    shared = Path("/dev/shm") if elsewhere else tmp_path
    cached = Path(tempfile.mkdtemp(dir=shared))
    try:
        (cached / "data").mkdir()
        (cached / "MLmodel").write_text("flavors: {}")
        (cached / "data" / "weights").write_bytes(b"1234")
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "model").symlink_to(cached)
        folder = view.real({view.VARIABLE: str(tmp_path / "1")}, str(tmp_path / "links"))
        found = Path(folder, "model", "data", "weights")
        assert found.read_bytes() == b"1234"
        assert found.resolve() == found
        assert found.samefile(cached / "data" / "weights") == (not elsewhere)
        assert [names for _, _, names in os.walk(folder)] == [[], ["MLmodel"], ["weights"]]
    finally:
        shutil.rmtree(cached)


def test_a_model_that_is_no_link_stays_where_it_is(tmp_path):
    (tmp_path / "1" / "model").mkdir(parents=True)
    for environ in ({}, {view.VARIABLE: str(tmp_path / "1")}, {view.VARIABLE: str(tmp_path / "none")}):
        assert view.real(environ, str(tmp_path / "links")) is None
    assert not (tmp_path / "links").exists()
