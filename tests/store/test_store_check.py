"""A check finds what is wrong and nothing else; a repair takes that out and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core.digest import Digest
from lading.core.errors import IntegrityError
from lading.core.reference import Reference
from lading.store import LayoutStore
from lading.store.check import Findings, check
from lading.store.export import export
from lading.store.repair import repair
from lading.store.usage import usage

NAME = Reference.parse("iris:1")


@pytest.fixture
def store(tmp_path: Path, author: Any) -> LayoutStore:
    return filled(LayoutStore(tmp_path / "layout"), author)


def filled(store: LayoutStore, author: Any) -> LayoutStore:
    """Two packages that share a layer, one with a report, an index of both, and something nobody needs."""
    one, two = author.image(store, "numpy", "one"), author.image(store, "numpy", "two")
    store.tag(NAME, one)
    store.tag(Reference.parse("iris:2"), two)
    store.tag(Reference.parse("iris:both"), author.index(store, one, two))
    store.refer(author.report(store, one))
    author.blob(store, b"nobody needs this")
    return store


def issues(found: Findings) -> str:
    return "\n".join(str(fault.issue) for fault in found.faults)


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_ino)
        for path in folder.rglob("*")
    }


def names(store: LayoutStore) -> list[str]:
    return [str(name) for name, _ in store.tags()]


def sound(store: LayoutStore) -> set[Digest]:
    return {digest for digest in store.digests() if store.path(digest).is_file() and store.is_sound(digest)}


def test_a_sound_store_is_found_sound_and_is_left_as_it_was(store: LayoutStore) -> None:
    for path in store.folder.rglob("*"):
        os.utime(path, (0, 0))
    before = state(store.folder)
    found = check(store)
    assert (found.faults, found.notes) == ([], [])
    assert (found.roots, found.blobs) == (4, len(list(store.digests())))
    assert repair(store, found) == []
    assert state(store.folder) == before


def test_a_store_that_is_not_there_yet_is_sound(tmp_path: Path) -> None:
    assert check(LayoutStore(tmp_path / "layout")) == Findings()
    assert not (tmp_path / "layout").exists()


def test_a_folder_that_is_no_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(IntegrityError, match=r"thesis\.tex"):
        check(LayoutStore(tmp_path))


def test_any_flipped_bit_of_a_blob_is_found_with_the_names_that_need_it(store: LayoutStore) -> None:
    for digest in store.digests():
        path = store.path(digest)
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        [fault] = check(store).faults
        assert fault.blob == digest
        assert "is damaged" in fault.issue.what
        assert ("needed by" in fault.issue.what) == (data != b"nobody needs this")
        path.write_bytes(data)
    path = store.path(Digest.of(b"numpy"))
    path.write_bytes(b"bumpy")
    assert "needed by iris:1, iris:2, iris:both" in issues(check(store))
    assert "then pack or pull iris:1, iris:2, iris:both again" in issues(check(store))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "emptied": lambda path: path.write_bytes(b""),
    "too long": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "removed": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir(), (path / "x").touch()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a broken link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


# a file that is replaced by renaming is never a folder, a pipe or a link
TO_BLOBS = {"a folder", "a pipe", "a broken link"}
WOUNDS = [(which, damage) for which in ("layer", "manifest") for damage in DAMAGES]
WOUNDS += [(which, damage) for which in ("index.json", "oci-layout") for damage in DAMAGES.keys() - TO_BLOBS]


@pytest.mark.parametrize(("which", "damage"), sorted(WOUNDS))
def test_a_repair_takes_out_what_is_wrong_and_leaves_what_is_sound(
    store: LayoutStore, author: Any, damage: str, which: str
) -> None:
    manifest = store.resolve(NAME).digest
    path = {
        "layer": store.path(Digest.of(b"one")),
        "manifest": store.path(manifest),
    }.get(which, store.folder / which)
    DAMAGES[damage](path)
    before = sound(store)
    found = check(store)
    assert len(found.faults) == 1 if which in {"layer", "manifest"} else found.faults
    assert all(fault.issue.fix for fault in found.faults)
    assert repair(store, found)
    assert check(store).faults == []
    assert before <= set(store.digests())
    if which == "oci-layout":
        assert names(store) == ["iris:1", "iris:2", "iris:both"]
    elif which == "index.json":
        listed = {root.digest for _, root in store.listed()}
        assert {digest for digest in listed if digest in before} == listed
        assert manifest in {part for root in listed for part in before if part == root} | before
    else:
        assert names(store) == ["iris:2"]
    filled(store, author)
    assert check(store).faults == []
    assert names(store) == ["iris:1", "iris:2", "iris:both"]


@given(wounds=st.lists(st.tuples(st.integers(0, 999), st.sampled_from(sorted(DAMAGES))), min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_whatever_is_damaged_a_repair_leaves_a_sound_store(
    tmp_path: Path, author: Any, wounds: list[tuple[int, str]]
) -> None:
    shutil.rmtree(tmp_path / "layout", ignore_errors=True)
    store = filled(LayoutStore(tmp_path / "layout"), author)
    paths = [store.path(digest) for digest in store.digests()]
    hit = {paths[number % len(paths)]: damage for number, damage in wounds}
    for path, damage in hit.items():
        DAMAGES[damage](path)
    before = sound(store)
    found = check(store)
    assert {store.path(fault.blob) for fault in found.faults if fault.blob} <= set(hit)
    repair(store, found)
    assert check(store).faults == []
    assert sound(store) == set(store.digests()) == before
    filled(store, author)
    assert check(store).faults == []


def test_an_index_that_is_lost_is_made_again_of_what_is_whole(store: LayoutStore) -> None:
    roots = {root.digest for _, root in store.listed()}
    inner = {store.resolve(NAME).digest, store.resolve(Reference.parse("iris:2")).digest}
    (store.folder / "index.json").write_text("{")
    done = repair(store, check(store))
    assert {root.digest for _, root in store.listed()} == roots - inner
    assert (store.folder / "index.json.damaged").read_text() == "{"
    assert sum("without a name" in one for one in done) == 2
    store.tag(NAME, store.find(str(next(iter(inner)))))


def test_one_bad_entry_does_not_cost_the_others(store: LayoutStore) -> None:
    path = store.folder / "index.json"
    document = json.loads(path.read_text())
    document["manifests"].insert(1, {"digest": "sha256:00"})
    path.write_text(json.dumps(document))
    found = check(store)
    assert "manifests[1]" in issues(found)
    repair(store, found)
    assert names(store) == ["iris:1", "iris:2", "iris:both"]
    assert check(store).faults == []


def test_what_does_no_harm_is_noted_and_stays(store: LayoutStore, author: Any) -> None:
    (store.folder / "thesis.tex").touch()
    (store.folder / "blobs/sha256/oci-put-blob1").touch()
    (store.folder / "blobs/md5").mkdir()
    (store.folder / ".ingest/1-dead").write_bytes(b"half")
    store.delete(store.resolve(NAME).digest)  # the index of both has lost it too
    store.untag(Reference.parse("iris:both"))
    found = check(store)
    assert found.faults == []
    noted = "\n".join(map(str, found.notes))
    for text in ("thesis.tex", "oci-put-blob1", "md5", "4 bytes that a writer left", "refers to sha256:"):
        assert text in noted
    with store.create() as blob:
        blob.write(b"alive")
        assert len(check(store).notes) == len(found.notes)


def test_an_exported_layout_is_checked_without_a_trace(store: LayoutStore, tmp_path: Path) -> None:
    export(store, store.resolve(NAME), tmp_path / "out", "oci", name=NAME)
    before = state(tmp_path / "out")
    exported = LayoutStore(tmp_path / "out")
    assert check(exported).faults == []
    assert state(tmp_path / "out") == before
    exported.path(Digest.of(b"one")).write_bytes(b"two")
    repair(exported, check(exported))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["blobs", "index.json", "oci-layout"]
    assert check(exported).faults == []


@pytest.mark.skipif(not shutil.which("skopeo"), reason="needs skopeo")
def test_a_layout_that_another_tool_wrote_is_sound(store: LayoutStore, tmp_path: Path) -> None:
    command = ["skopeo", "copy", f"oci:{store.folder}:iris:1", f"oci:{tmp_path / 'theirs'}:iris"]
    subprocess.run(command, check=True, capture_output=True)
    found = check(LayoutStore(tmp_path / "theirs"))
    assert (found.faults, found.notes, found.roots) == ([], [], 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else for a while")
def test_what_may_not_be_read_is_told_and_may_be_read_afterwards(store: LayoutStore, tmp_path: Path) -> None:
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 65534, 65534)
    for parent in tmp_path.parents[:-2]:
        parent.chmod(parent.stat().st_mode | 0o755)
    store.path(Digest.of(b"one")).chmod(0)
    os.seteuid(65534)
    try:
        found = check(store)
        assert "cannot be read: Permission denied" in issues(found)
        repair(store, found)
        assert check(store).faults == []
    finally:
        os.seteuid(0)
    assert store.path(Digest.of(b"one")).read_bytes() == b"one"


def test_shared_bytes_count_once(store: LayoutStore) -> None:
    used = usage(store)
    sizes = store.sizes()
    assert used.bytes == sum(sizes.values())
    assert used.bytes - used.reached_bytes == len(b"nobody needs this")
    by_name = {name: share for share in used.shares for name in share.names}
    both = by_name["iris:both"]
    assert both.own_bytes == sizes[both.digest]
    assert by_name["iris:1"].own_bytes == 0
    store.untag(Reference.parse("iris:both"))
    by_name = {name: share for share in usage(store).shares for name in share.names}
    one = by_name["iris:1"]
    assert one.bytes - one.own_bytes == len(b"numpy")
    # the report goes with its image
    assert one.own_bytes - by_name["iris:2"].own_bytes > len(b"passed")
