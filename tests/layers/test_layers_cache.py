from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.descriptor import LAYER_GZIP, Descriptor
from lading.core.digest import Digest
from lading.core.image import Layer
from lading.layers import cache as caching
from lading.layers import grouping
from lading.layers.cache import FolderCache
from lading.store import LayoutStore, MemoryStore

KEY = "ab" * 32


@pytest.fixture
def layer_and_store():
    store = MemoryStore()
    with store.create() as blob:
        blob.write(b"layer")
        digest = blob.commit()
    return Layer(Descriptor(LAYER_GZIP, digest, 5), Digest.of(b"tar"), "environment", "numpy 2.4.6"), store


def test_a_layer_is_remembered(tmp_path, layer_and_store):
    layer, store = layer_and_store
    FolderCache(tmp_path, store).put(KEY, layer)
    assert FolderCache(tmp_path, store).get(KEY) == layer
    assert FolderCache(tmp_path, store).get("cd" * 32) is None


def test_a_layer_whose_blob_is_gone_is_forgotten(tmp_path, layer_and_store):
    layer, store = layer_and_store
    cache = FolderCache(tmp_path, store)
    cache.put(KEY, layer)
    store.delete(layer.descriptor.digest)
    assert cache.get(KEY) is None


@pytest.mark.parametrize(
    "noise",
    [b"", b"null", b"{", b"\xff", b'{"descriptor":{},"diff_id":"x","kind":"model","title":""}'],
)
def test_a_damaged_entry_is_ignored(tmp_path, layer_and_store, noise):
    layer, store = layer_and_store
    cache = FolderCache(tmp_path, store)
    cache.put(KEY, layer)
    (entry,) = tmp_path.rglob("*.json")
    entry.write_bytes(noise)
    assert cache.get(KEY) is None
    cache.put(KEY, layer)
    assert cache.get(KEY) == layer


@pytest.mark.parametrize("old", [b'"environment"', b'"sha256:'])
def test_an_entry_of_another_kind_is_ignored(tmp_path, layer_and_store, old):
    layer, store = layer_and_store
    cache = FolderCache(tmp_path, store)
    cache.put(KEY, layer)
    (entry,) = tmp_path.rglob("*.json")
    entry.write_bytes(entry.read_bytes().replace(old, b'"what'))
    assert cache.get(KEY) is None


PROGRAM = """
import sys
from pathlib import Path
from lading.layers import FolderCache
from lading.store import LayoutStore
key, folder, store = sys.argv[1], Path(sys.argv[2]), LayoutStore(Path(sys.argv[3]))
cache = FolderCache(folder, store)
layer = cache.get(key)
for _ in range(300):
    cache.put(key, layer)
"""


def test_a_reader_never_sees_half_an_entry(tmp_path):
    store = LayoutStore(tmp_path / "store")
    with store.create() as blob:
        blob.write(b"layer")
        digest = blob.commit()
    layer = Layer(Descriptor(LAYER_GZIP, digest, 5), Digest.of(b"tar"), "environment", "numpy 2.4.6")
    cache = FolderCache(tmp_path / "cache", store)
    cache.put(KEY, layer)
    command = [sys.executable, "-c", PROGRAM, KEY, str(cache.folder), str(store.folder)]
    writers = [subprocess.Popen(command) for _ in range(2)]
    while any(writer.poll() is None for writer in writers):
        assert cache.get(KEY) == layer
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(list(cache.folder.rglob("*"))) == 2


def test_a_key_depends_on_everything_a_layer_is_made_from(monkeypatch):
    keys = {
        caching.key({"wheels": ["a", "b"]}, "gzip"),
        caching.key({"wheels": ["b", "a"]}, "gzip"),
        caching.key({"debs": ["a", "b"]}, "gzip"),
        caching.key({"wheels": ["a", "b"]}, "zstd"),
    }
    monkeypatch.setattr(caching, "FORMAT", caching.FORMAT + 1)
    keys.add(caching.key({"wheels": ["a", "b"]}, "gzip"))
    assert len(keys) == 5


class Item:
    def __init__(self, name, size_bytes):
        self.name, self.size_bytes = name, size_bytes

    def __repr__(self):
        return f"{self.name}:{self.size_bytes}"


ITEMS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4), st.integers(0, 99), min_size=1, max_size=20
)


def grouped(sizes, alone, shared):
    items = [Item(name, size) for name, size in sizes.items()]
    return {
        frozenset(one.name for one in group) for group in grouping.group(items, alone=alone, shared=shared)
    }


@given(ITEMS, st.integers(0, 5), st.integers(1, 4))
def test_every_item_is_in_one_group_and_groups_are_few(sizes, alone, shared):
    groups = grouped(sizes, alone, shared)
    assert sorted(name for group in groups for name in group) == sorted(sizes)
    assert len(groups) <= alone + shared


@given(ITEMS, st.integers(0, 5), st.integers(1, 4))
def test_removing_one_item_changes_one_other_group(sizes, alone, shared):
    before = grouped(sizes, alone, shared)
    gone = max(sizes)
    after = grouped({name: size for name, size in sizes.items() if name != gone}, alone, shared)
    # beside its own group: the one of which the next largest left, which then is alone
    assert len(after - before) <= 2
    assert len([group for group in before - after if gone not in group]) <= 1


@given(ITEMS, st.randoms())
def test_the_order_of_items_does_not_matter(sizes, random):
    items = [Item(name, size) for name, size in sizes.items()]
    shuffled = random.sample(items, len(items))
    assert grouping.group(items, alone=3, shared=2) == grouping.group(shuffled, alone=3, shared=2)
