"""The store and the caches of a machine: what they take, what is freed, what is found wrong and mended."""

import os
import random
import time

import pytest

from engines import free_port
from lading.core.digest import Digest
from lading.core.endpoint import Deployment, Endpoint
from lading.deploy.folder import Folder
from lading.deploy.rollout import Record
from running import post

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def packed(tmp_path_factory, echo):
    """A home with one verified package that needs little."""
    home, folder = echo
    own = home.copy(tmp_path_factory.mktemp("care") / "home")
    own("pack", folder, "-t", "echo:1")
    return own, folder


@pytest.fixture
def own(packed, tmp_path):
    """A copy that a test may spoil."""
    home, folder = packed
    return home.copy(tmp_path / "home"), folder


def on_disk(folder):
    """Add up the files below a folder, each once, as du(1) does."""
    sizes = {}
    for path in folder.rglob("*"):
        if not path.is_dir() or path.is_symlink():
            status = path.lstat()
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def age(home):
    """Let everything be old."""
    for path in home.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)


def test_what_everything_takes_is_what_lies_on_the_disk(own):
    lading, _ = own
    taken = lading.json("du")
    assert taken["store"]["bytes"] == on_disk(lading.home / "store/blobs")
    assert sum(taken["caches"].values()) == on_disk(lading.home / "cache")
    [package] = taken["packages"]
    assert package["names"] == ["echo:1"]
    assert package["bytes"] == package["own_bytes"] == taken["store"]["reached_bytes"]
    said = lading("du")
    assert "echo:1" in said
    assert "unpacked" in said


@pytest.mark.parametrize(
    "flags", [(), ("--cache",), ("--older-than-s", "0"), ("--cache", "--older-than-s", "0")]
)
def test_a_dry_run_foresees_every_byte(own, flags):
    lading, _ = own
    lading("rm", "echo:1")
    age(lading.home)
    (lading.home / "cache/downloads/partial").mkdir(exist_ok=True)
    (lading.home / "cache/downloads/partial/half").write_bytes(b"half")
    os.utime(lading.home / "cache/downloads/partial/half", (0, 0))
    before = on_disk(lading.home / "store/blobs") + on_disk(lading.home / "cache")
    foreseen = lading.json("gc", "--dry-run", *flags)
    assert on_disk(lading.home / "store/blobs") + on_disk(lading.home / "cache") == before
    freed = lading.json("gc", *flags)
    assert freed["items"] == foreseen["items"]
    assert freed["bytes"] == foreseen["bytes"] == sum(one["bytes"] for one in freed["items"])
    assert before - on_disk(lading.home / "store/blobs") - on_disk(lading.home / "cache") == freed["bytes"]
    assert freed["bytes"] > 20e6
    assert lading.json("gc", *flags)["bytes"] == 0


def ask(port):
    return post(f"http://127.0.0.1:{port}/invocations", {"inputs": [1, 2]})


def test_a_package_that_is_served_loses_nothing(own):
    lading, _ = own
    port = free_port()
    server = lading.start("serve", "echo:1", "--port", port)
    try:
        wait_for(lambda: ask(port), server)
        lading("rm", "echo:1")
        age(lading.home)
        freed = lading.json("gc", "--cache", "--older-than-s", "0")
        assert any("it is in use" in one for one in freed["spared"])
        assert ask(port)
    finally:
        server.terminate()
        server.communicate()
    assert list((lading.home / "cache/unpacked").iterdir())
    lading("gc", "--cache", "--older-than-s", "0")
    assert not list((lading.home / "cache/unpacked").iterdir())


def wait_for(what, server):
    for _ in range(600):
        try:
            return what()
        except OSError:  # not there yet, or 503
            assert server.poll() is None
        time.sleep(0.1)
    raise AssertionError("it does not answer")


def spoil(path, random_source):
    data = bytearray(path.read_bytes())
    data[random_source.randrange(len(data))] ^= 1
    path.write_bytes(data)


def test_what_is_damaged_anywhere_is_found_and_mended(own):
    lading, folder = own
    source = random.Random(3)
    digest = lading.json("show", "echo:1")["digest"]
    downloads = lading.home / "cache/downloads/sha256"
    spoil(max(downloads.iterdir(), key=lambda path: path.stat().st_size), source)
    unpacked = [
        path
        for path in (lading.home / "cache/unpacked").rglob("*.py")
        if path.lstat().st_size > 99 and not path.is_symlink()
    ]
    mode = unpacked[0].stat().st_mode
    unpacked[0].chmod(0o644)
    spoil(unpacked[0], source)
    unpacked[0].chmod(mode)
    entries = sorted((lading.home / "cache/layers").glob("*/*.json"))
    entry = next(path for path in entries if b'"diff_id":"sha256:' in path.read_bytes())
    data = entry.read_bytes()
    at = data.index(b'"diff_id":"sha256:') + 20
    entry.write_bytes(data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :])
    blobs = sorted((lading.home / "store/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    spoil(blobs[-1], source)
    said = lading.fails(5, "fsck")
    for text in ("cache/downloads/sha256/", "is not as its layer has it", "unpacks to", "needed by echo:1"):
        assert text in said, said
    issues = lading.run("fsck", "--json")
    assert issues.returncode == 5
    assert said.count("fix: ") == 4
    repaired = lading.json("fsck", "--repair")
    assert len(repaired["issues"]) == 4
    assert lading.json("fsck")["issues"] == []
    assert lading.json("pack", folder, "-t", "echo:1")["digest"] == digest
    lading("verify", "echo:1")
    assert lading.json("fsck")["issues"] == []


def test_any_layout_folder_is_checked(own, tmp_path):
    lading, _ = own
    lading("export", "echo:1", tmp_path / "layout")
    checked = lading.json("fsck", tmp_path / "layout")
    assert (checked["roots"], checked["issues"]) == (1, [])
    spoil(next((tmp_path / "layout/blobs/sha256").iterdir()), random.Random(1))
    assert "is damaged" in lading.fails(5, "fsck", tmp_path / "layout")
    assert "is not there" in lading.fails(8, "fsck", tmp_path / "nowhere")
    assert "is no OCI image layout" in lading.fails(5, "fsck", tmp_path)


def test_a_lost_index_is_made_again_and_what_it_lists_is_named_or_removed(own):
    lading, _ = own
    digest = lading.json("show", "echo:1")["digest"]
    (lading.home / "store/index.json").unlink()
    assert "index.json: is missing" in lading.fails(5, "fsck")
    assert any(digest in one for one in lading.json("fsck", "--repair")["repaired"])
    assert lading.json("list") == []
    lading("tag", digest, "echo:found")
    assert lading.json("show", "echo:found")["digest"] == digest
    assert lading.json("fsck")["issues"] == []
    lading("rm", digest)
    lading("gc", "--cache", "--older-than-s", "0")
    assert lading.json("du")["store"]["blobs"] == 0


def test_what_a_deployment_runs_is_kept_without_a_name(own):
    lading, _ = own
    digest = Digest.parse(lading.json("show", "echo:1")["digest"])
    folder = Folder(lading.home / "endpoints")
    folder.write_endpoint(Endpoint("my-endpoint"))
    folder.write_keys("my-endpoint", {"primary": "one", "secondary": "two"})
    folder.write_deployment(Record(Deployment("blue", "my-endpoint", "echo:1", digest)))
    lading("rm", "echo:1")
    age(lading.home / "store")
    lading("gc", "--cache", "--older-than-s", "0")
    assert lading.json("show", str(digest))["bill"]["name"] == "echo"
    folder.forget_endpoint("my-endpoint")
    lading("gc", "--cache", "--older-than-s", "0")
    lading.fails(8, "show", str(digest))
