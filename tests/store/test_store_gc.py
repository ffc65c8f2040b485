"""What is collected, and what never is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError
from lading.core.reference import Reference
from lading.store import LayoutStore, MemoryStore, documents
from lading.store.gc import Collectable, Collected, collect, remove

HOUR_S = 3600.0
STORES: dict[str, Callable[[Path], Collectable]] = {
    "memory": lambda _: MemoryStore(),
    "layout": lambda folder: LayoutStore(folder / "layout"),
}


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Collectable:
    return STORES[request.param](tmp_path)


def now(store: Collectable, *keep: Digest, dry_run: bool = False) -> Collected:
    """Collect without an age of grace."""
    return collect(store, keep=keep, older_than_s=0, dry_run=dry_run)


def name(text: str) -> Reference:
    return Reference.parse(text)


def everything(store: Collectable, *roots: Any) -> set[Digest]:
    return {part.digest for root in roots for part in documents.walk(store, root)}


def test_what_a_name_reaches_stays_and_the_rest_goes(store: Collectable, author: Any) -> None:
    old, new = author.image(store, "shared", "old"), author.image(store, "shared", "new")
    store.tag(name("iris:1"), old)
    store.tag(name("iris:1"), new)
    kept = everything(store, new)
    gone = everything(store, old) - kept
    sizes = sum(store.size_bytes(digest) or 0 for digest in gone)
    collected = now(store)
    assert set(collected.blobs) == gone
    assert collected.bytes == sizes
    assert set(store.digests()) == kept
    assert now(store) == Collected({}, {})


def test_a_dry_run_tells_the_same_and_removes_nothing(store: Collectable, author: Any) -> None:
    author.image(store, "old")
    before = list(store.digests())
    foreseen = now(store, dry_run=True)
    assert list(store.digests()) == before
    assert now(store) == foreseen


def test_what_was_written_or_asked_for_lately_stays(store: Collectable, author: Any) -> None:
    author.image(store)
    assert collect(store, keep=(), older_than_s=HOUR_S, dry_run=False) == Collected({}, {})


def test_what_was_asked_for_lately_stays_although_it_is_old(tmp_path: Path, author: Any) -> None:
    store = LayoutStore(tmp_path / "layout")
    author.image(store, "numpy")
    for digest in store.digests():
        os.utime(store.path(digest), (0, 0))
    assert store.size_bytes(Digest.of(b"numpy")) == 5
    assert len(collect(store, keep=(), older_than_s=HOUR_S, dry_run=False).blobs) == 2
    assert list(store.digests()) == [Digest.of(b"numpy")]


def test_what_is_kept_by_hand_stays_with_what_it_names(store: Collectable, author: Any) -> None:
    image, layer = author.image(store, "numpy"), author.blob(store, b"cached layer")
    now(store, image.digest, layer.digest, Digest.of(b"absent"))
    assert set(store.digests()) == everything(store, image, layer)


def test_an_index_keeps_its_images(store: Collectable, author: Any) -> None:
    index = author.index(store, author.image(store, "one"), author.image(store, "two"))
    store.tag(name("iris:1"), index)
    assert now(store).blobs == {}


def test_a_report_goes_with_its_image_and_a_report_of_the_report_too(store: Collectable, author: Any) -> None:
    image = author.image(store)
    store.tag(name("iris:1"), image)
    report = author.report(store, image)
    signature = author.report(store, report, b"signed")
    # the newer first: order must not matter
    store.refer(signature)
    store.refer(report)
    assert now(store).blobs == {}
    assert list(store.referrers(image.digest)) == [report]
    remove(store, name("iris:1"))
    now(store)
    assert list(store.digests()) == []
    assert list(store.listed()) == []


def test_a_named_report_stays_without_its_image(store: Collectable, author: Any) -> None:
    image = author.image(store)
    report = author.report(store, image)
    store.tag(name("iris:report"), report)
    now(store)
    assert set(store.digests()) == everything(store, report)


def test_an_image_that_another_tool_left_without_a_name_stays(tmp_path: Path, author: Any) -> None:
    store = LayoutStore(tmp_path / "layout")
    image = author.image(store)
    index = {"schemaVersion": 2, "manifests": [image.to_json()]}
    (store.folder / "index.json").write_text(json.dumps(index))
    assert now(store).blobs == {}


def test_a_name_of_what_is_lost_does_not_stop_the_collection(store: Collectable, author: Any) -> None:
    image = author.image(store, "numpy")
    store.tag(name("iris:1"), image)
    store.delete(Digest.of(b"numpy"))
    author.blob(store, b"garbage")
    assert list(now(store).blobs) == [Digest.of(b"garbage")]


def test_a_broken_manifest_stops_the_collection_before_anything_is_removed(
    tmp_path: Path, author: Any
) -> None:
    store = LayoutStore(tmp_path / "layout")
    image = author.image(store, "numpy")
    store.tag(name("iris:1"), image)
    author.blob(store, b"garbage")
    store.path(image.digest).write_bytes(b"x" * image.size_bytes)
    before = set(store.digests())
    with pytest.raises(IntegrityError, match="the bytes were changed"):
        now(store)
    assert set(store.digests()) == before


def test_leftovers_of_dead_writers_are_counted(tmp_path: Path, author: Any) -> None:
    store = LayoutStore(tmp_path / "layout")
    author.blob(store, b"garbage")
    leftover = store.folder / ".ingest" / "1-dead"
    leftover.write_bytes(b"half a blob")
    os.utime(leftover, (0, 0))
    assert now(store, dry_run=True).bytes == len(b"garbage" + b"half a blob")
    assert leftover.exists()
    assert now(store).bytes == len(b"garbage" + b"half a blob")
    assert not leftover.exists()


def test_an_image_is_removed_by_name_or_by_digest_with_all_its_names(store: Collectable, author: Any) -> None:
    image, other = author.image(store, "iris"), author.image(store, "wine")
    for text in ("iris:1", "iris:2", "iris:3"):
        store.tag(name(text), image)
    store.tag(name("wine:1"), other)
    assert remove(store, name("iris:2")) == (name("iris:2"),)
    assert remove(store, name(f"iris@{image.digest}")) == (name("iris:1"), name("iris:3"))
    assert [reference for reference, _ in store.tags()] == [name("wine:1")]
    with pytest.raises(RegistryError, match="not in the store"):
        remove(store, name("iris:1"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    images=st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4), max_size=5),
    named=st.sets(st.integers(0, 4)),
)
def test_exactly_what_is_reached_remains_whatever_is_shared(
    author: Any, images: list[list[str]], named: set[int]
) -> None:
    store = MemoryStore()
    roots = [author.image(store, *layers) for layers in images]
    kept = [root for number, root in enumerate(roots) if number in named]
    for number, root in enumerate(kept):
        store.tag(name(f"iris:{number}"), root)
    now(store)
    assert set(store.digests()) == everything(store, *kept)


def test_what_somebody_at_work_has_asked_for_stays_however_long_it_takes(tmp_path: Path, author: Any) -> None:
    store, other = LayoutStore(tmp_path / "layout"), LayoutStore(tmp_path / "layout")
    author.blob(store, b"before")
    author.blob(store, b"asked for")
    for digest in store.digests():
        os.utime(store.path(digest), (0, 0))
    with other.keeping():
        assert other.size_bytes(Digest.of(b"asked for")) == 9
        author.blob(other, b"written")
        assert set(now(store, dry_run=True).blobs) == {Digest.of(b"before")}
        assert set(now(store).blobs) == {Digest.of(b"before")}
    assert set(now(store).blobs) == {Digest.of(b"asked for"), Digest.of(b"written")}


def test_who_was_killed_at_work_keeps_nothing(tmp_path: Path, author: Any) -> None:
    store = LayoutStore(tmp_path / "layout")
    author.blob(store, b"written")
    code = (
        "import os, sys; from pathlib import Path; from lading.store import LayoutStore\n"
        "with LayoutStore(Path(sys.argv[1])).keeping(): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, store.folder], check=False)
    [lease] = (store.folder / ".ingest").iterdir()
    assert store.keeping_for_s() == 0.0
    os.utime(lease, (0, 0))
    assert set(now(store).leftovers) == {lease.name}


def test_who_asks_for_a_blob_that_was_collected_just_now_is_told_so(tmp_path: Path, author: Any) -> None:
    store = LayoutStore(tmp_path / "layout")
    digest = author.blob(store, b"old").digest
    os.utime(store.path(digest), (0, 0))
    assert store.discard(digest, older_than_s=HOUR_S) == 3
    assert store.size_bytes(digest) is None
    author.blob(store, b"old")
    assert store.discard(digest, older_than_s=HOUR_S) is None
    assert store.size_bytes(digest) == 3
