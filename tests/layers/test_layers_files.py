from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, ModelError, SpecError
from lading.layers import files
from lading.layers.file_digests import FileDigests

OLD_NS = 1_000_000_000 * 1_000_000_000


@pytest.fixture
def digests(tmp_path):
    return FileDigests(tmp_path / "digests")


@pytest.fixture
def code(tmp_path) -> Path:
    root = tmp_path / "code"
    for path in ("score.py", "pkg/__init__.py", "pkg/__pycache__/x.pyc", ".git/config", ".env", "pkg/y.pyc"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


def test_a_folder_is_walked_without_junk(code):
    assert [path for path, _ in files.walk(code, "c")] == ["c/pkg/__init__.py", "c/score.py"]


def test_a_single_file_keeps_its_name(code):
    assert list(files.walk(code / "score.py", "c")) == [("c/score.py", code / "score.py")]


def test_links_inside_are_followed(code):
    (code / "again").symlink_to("pkg")
    (code / "alias.py").symlink_to("score.py")
    found = [path for path, _ in files.walk(code, "c")]
    assert found == ["c/again/__init__.py", "c/alias.py", "c/pkg/__init__.py", "c/score.py"]


@pytest.mark.parametrize("what", ["outside", "absolute", "loop", "itself", "dangling", "pipe", "missing"])
def test_what_cannot_be_packed_is_refused(code, what):
    path = code / "odd"
    match what:
        case "outside":
            path.symlink_to("../..")
        case "absolute":
            path.symlink_to("/etc/passwd")
        case "loop":
            (code / "pkg/loop").symlink_to("..")
        case "itself":
            path.symlink_to("odd")
        case "dangling":
            path.symlink_to("nowhere")
        case "pipe":
            os.mkfifo(path)
        case "missing":
            code = path
    with pytest.raises(SpecError):
        list(files.walk(code, "c"))


def test_modes_are_normalised_and_order_does_not_matter(code, digests, seal):
    (code / "score.py").chmod(0o700)
    (code / "pkg/__init__.py").chmod(0o600)
    pairs = list(files.walk(code, "c"))
    one = seal(lambda writer: files.write(files.contents(pairs, digests), writer))
    other = seal(lambda writer: files.write(files.contents(pairs[::-1], digests), writer))
    assert one.tar == other.tar
    assert one.members["c/score.py"].mode == 0o755
    assert one.members["c/pkg/__init__.py"].mode == 0o644


def test_a_file_that_changes_meanwhile_is_refused(code, digests, seal):
    contents = files.contents(files.walk(code, "c"), digests)
    (code / "score.py").write_text("SCORE.PY"[:8])
    with pytest.raises(IntegrityError, match="changed"):
        seal(lambda writer: files.write(contents, writer))


def test_a_file_that_goes_meanwhile_is_named(code, digests, seal):
    contents = files.contents(files.walk(code, "c"), digests)
    (code / "score.py").unlink()
    with pytest.raises(IntegrityError, match=r"score\.py: cannot be read any more"):
        seal(lambda writer: files.write(contents, writer))


def test_a_file_that_cannot_be_read_is_named(code, digests):
    with pytest.raises(ModelError, match=r"gone\.bin"):
        files.contents([("m/gone.bin", code / "gone.bin")], digests)


def big_file(tmp_path, *, old=True) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(3 << 20))
    if old:
        os.utime(path, ns=(OLD_NS, OLD_NS))
    return path


def entries(digests) -> list[Path]:
    return list(digests.folder.glob("*.json"))


@pytest.fixture
def settled(monkeypatch):
    """Let every file look settled: a test cannot set a file's ctime."""
    monkeypatch.setattr("lading.layers.file_digests._RACY_NS", -(10**12))


def test_an_unchanged_file_is_read_once(tmp_path, digests, settled, monkeypatch):
    path = big_file(tmp_path)
    digest = digests.of(path)
    assert digest == Digest.of(path.read_bytes())
    monkeypatch.setattr(Digest, "of_stream", lambda _: pytest.fail("read again"))
    assert FileDigests(digests.folder).of(path) == digest


def test_a_changed_file_is_read_again(tmp_path, digests, settled):
    path = big_file(tmp_path)
    digests.of(path)
    with path.open("r+b") as file:
        file.write(b"changed")
    os.utime(path, ns=(OLD_NS, OLD_NS))  # what changed it may hide its time, not its ctime
    assert digests.of(path) == Digest.of(path.read_bytes())
    path.write_bytes(os.urandom(3 << 20))
    assert digests.of(path) == Digest.of(path.read_bytes())


def test_a_file_that_just_changed_is_not_remembered(tmp_path, digests):
    digests.of(big_file(tmp_path, old=False))
    assert entries(digests) == []


def test_a_small_file_is_not_remembered(tmp_path, digests, settled):
    (tmp_path / "small").write_bytes(b"x")
    assert digests.of(tmp_path / "small") == Digest.of(b"x")
    assert entries(digests) == []


def test_digests_that_cannot_be_kept_are_still_told(tmp_path, settled):
    (tmp_path / "taken").write_bytes(b"")
    path = big_file(tmp_path)
    assert FileDigests(tmp_path / "taken").of(path) == Digest.of(path.read_bytes())


@pytest.mark.parametrize("noise", [b"", b"{}", b"[1]", b"\xff", b'{"identity":[1],"digest":"x"}'])
def test_a_damaged_entry_counts_as_none(tmp_path, digests, settled, noise):
    path = big_file(tmp_path)
    digest = digests.of(path)
    (entry,) = entries(digests)
    entry.write_bytes(noise)
    assert digests.of(path) == digest


def test_a_true_entry_with_a_broken_digest_counts_as_none(tmp_path, digests, settled):
    path = big_file(tmp_path)
    digest = digests.of(path)
    (entry,) = entries(digests)
    entry.write_text(entry.read_text().replace("sha256:", "sha256:zz"))
    assert digests.of(path) == digest


def test_threads_may_ask_for_one_file_at_once(tmp_path, digests, settled):
    path, found = big_file(tmp_path), []
    threads = [threading.Thread(target=lambda: found.append(digests.of(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {Digest.of(path.read_bytes())}
    assert len(found) == 8


PROGRAM = """
import sys
from pathlib import Path
from lading.layers import FileDigests, files
from lading.layers.tar import LayerWriter
from lading.store import LayoutStore
root = Path(sys.argv[1])
contents = files.contents([("opt/lading/model/weights.bin", root / "weights.bin")], FileDigests(root / "d"))
with LayoutStore(root / "store").create() as blob:
    writer = LayerWriter(blob)
    files.write(contents, writer)
    tar_bytes = writer.finish().tar_bytes
# getrusage(2) begins with what the parent had
status = Path("/proc/self/status").read_text().splitlines()
print(tar_bytes, next(line for line in status if line.startswith("VmHWM:")).split()[1])
"""


@pytest.mark.slow
def test_a_model_of_8_gb_takes_little_memory(tmp_path):
    size_bytes = 8 << 30
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(size_bytes)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    tar_bytes, peak_kib = map(int, output.split())
    assert tar_bytes > size_bytes
    assert peak_kib < 100 << 10
