"""What every store does: one suite, run against each of them. A new store is one more line in `STORES`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError, SpecError
from lading.core.ports import Store
from lading.core.reference import Reference
from lading.store import LayoutStore, MemoryStore, documents

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "layout": lambda folder: LayoutStore(folder / "layout"),
}
ABSENT = Digest.of(b"never written")


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path)


def read(store: Store, digest: Digest) -> bytes:
    with store.open(digest) as stream:
        return stream.read()


def names(store: Store) -> list[str]:
    return [str(reference) for reference, _ in store.tags()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(chunks=st.lists(st.binary(max_size=4096), max_size=8))
def test_what_was_written_in_chunks_is_read_whole(store: Store, chunks: list[bytes]) -> None:
    with store.create() as blob:
        for chunk in chunks:
            assert blob.write(chunk) == len(chunk)
        digest = blob.commit()
    data = b"".join(chunks)
    assert digest == Digest.of(data)
    assert read(store, digest) == data
    assert store.size_bytes(digest) == len(data)
    assert digest in set(store.digests())


def test_every_kind_of_buffer_can_be_written(store: Store) -> None:
    with store.create() as blob:
        for buffer in (b"one ", bytearray(b"two "), memoryview(b"three")):
            blob.write(buffer)
        assert read(store, blob.commit()) == b"one two three"


def test_a_blob_that_is_not_the_expected_one_is_refused_and_leaves_nothing(store: Store) -> None:
    with store.create() as blob:
        blob.write(b"something else")
        with pytest.raises(IntegrityError, match=f"expected {ABSENT}"):
            blob.commit(ABSENT)
    assert list(store.digests()) == []


def test_a_blob_left_without_commit_leaves_nothing(store: Store) -> None:
    with store.create() as blob:
        blob.write(b"half a blob")
    with suppress(KeyboardInterrupt), store.create() as blob:
        blob.write(b"half a blob")
        raise KeyboardInterrupt
    assert list(store.digests()) == []


def test_the_same_blob_written_twice_is_kept_once(store: Store, author: Any) -> None:
    assert author.blob(store, b"numpy") == author.blob(store, b"numpy")
    assert list(store.digests()) == [Digest.of(b"numpy")]


def test_an_absent_blob_has_no_size_and_cannot_be_opened(store: Store) -> None:
    assert store.size_bytes(ABSENT) is None
    with pytest.raises(RegistryError, match=str(ABSENT)), store.open(ABSENT):
        pass


def test_a_deleted_blob_is_gone_and_deleting_it_again_is_no_error(store: Store, author: Any) -> None:
    digest = author.blob(store, b"numpy").digest
    store.delete(digest)
    store.delete(digest)
    assert store.size_bytes(digest) is None
    assert list(store.digests()) == []


def test_a_name_resolves_to_what_it_was_given_to(store: Store, author: Any) -> None:
    image = author.image(store)
    store.tag(Reference.parse("iris:1"), image)
    assert store.resolve(Reference.parse("iris:1")) == image
    assert names(store) == ["iris:1"]


def test_names_are_listed_in_order_whatever_the_order_they_were_given_in(store: Store, author: Any) -> None:
    given_names = ["iris:2", "digits:1", "localhost:5000/team/iris:1", "iris:1", "wine"]
    image = author.image(store)
    for name in given_names:
        store.tag(Reference.parse(name), image)
    assert names(store) == sorted(given_names)


def test_a_name_moves_to_another_image_and_the_old_blobs_stay(store: Store, author: Any) -> None:
    old, new = author.image(store, "old"), author.image(store, "new")
    store.tag(Reference.parse("iris:1"), old)
    store.tag(Reference.parse("iris:1"), new)
    assert store.resolve(Reference.parse("iris:1")) == new
    assert store.size_bytes(old.digest) == old.size_bytes
    assert names(store) == ["iris:1"]


def test_what_is_not_there_in_full_is_not_named(store: Store, author: Any) -> None:
    image = author.image(store, "layer")
    store.delete(Digest.of(b"layer"))
    with pytest.raises(RegistryError, match=str(Digest.of(b"layer"))):
        store.tag(Reference.parse("iris:1"), image)
    assert names(store) == []


def test_an_index_of_an_image_that_is_not_there_is_not_named(store: Store, author: Any) -> None:
    image = author.image(store)
    index = author.index(store, image)
    store.delete(image.digest)
    with pytest.raises(RegistryError, match=str(image.digest)):
        store.tag(Reference.parse("iris:1"), index)


def test_a_digest_is_no_name(store: Store, author: Any) -> None:
    image = author.image(store)
    with pytest.raises(SpecError, match="without a digest"):
        store.tag(Reference.parse(f"iris@{image.digest}"), image)


def test_an_unknown_name_is_refused_with_its_neighbours(store: Store, author: Any) -> None:
    store.tag(Reference.parse("iris:1"), author.image(store))
    with pytest.raises(RegistryError, match="did you mean 'iris:1'"):
        store.resolve(Reference.parse("irsi:1"))
    with pytest.raises(RegistryError, match="did you mean 'iris:1'"):
        store.resolve(Reference.parse("iris"))
    with pytest.raises(RegistryError, match="lading list"):
        store.resolve(Reference.parse("something/quite/different:4"))


def test_a_digest_resolves_with_a_name_before_it(store: Store, author: Any) -> None:
    image = author.image(store)
    assert store.resolve(Reference.parse(f"iris@{image.digest}")) == image
    store.tag(Reference.parse("iris:1"), image)
    assert store.resolve(Reference.parse(f"iris:1@{image.digest}")) == image
    with pytest.raises(RegistryError, match="not in the store"):
        store.resolve(Reference.parse(f"iris@{ABSENT}"))


def test_a_layer_is_no_image_although_its_digest_is_known(store: Store, author: Any) -> None:
    layer, text = author.blob(store, b"\x1f\x8b a layer"), author.blob(store, b"{ no manifest")
    for blob in (layer, text, author.blob(store, b"[1]"), author.blob(store, b'{"mediaType":"text/plain"}')):
        with pytest.raises(RegistryError, match="not in the store"):
            store.resolve(Reference.parse(f"iris@{blob.digest}"))


def test_a_forgotten_name_leaves_the_blobs_and_the_other_names(store: Store, author: Any) -> None:
    image = author.image(store)
    for name in ("iris:1", "iris:latest"):
        store.tag(Reference.parse(name), image)
    store.untag(Reference.parse("iris:1"))
    assert names(store) == ["iris:latest"]
    assert store.size_bytes(image.digest) == image.size_bytes
    with pytest.raises(RegistryError, match="did you mean"):
        store.untag(Reference.parse("iris:1"))


def test_deleting_an_image_forgets_its_names(store: Store, author: Any) -> None:
    image = author.image(store)
    store.tag(Reference.parse("iris:1"), image)
    store.delete(image.digest)
    assert names(store) == []


def test_referrers_are_listed_oldest_first_and_once(store: Store, author: Any) -> None:
    image, other = author.image(store, "iris"), author.image(store, "wine")
    first, second = author.report(store, image, b"first"), author.report(store, image, b"second")
    for report in (first, author.report(store, other), second, first):
        store.refer(report)
    assert list(store.referrers(image.digest)) == [first, second]
    store.delete(first.digest)
    assert list(store.referrers(image.digest)) == [second]
    assert names(store) == []


def test_what_refers_to_nothing_is_no_referrer(store: Store, author: Any) -> None:
    with pytest.raises(IntegrityError, match="no subject"):
        store.refer(author.image(store))


def test_a_referrer_that_is_not_there_in_full_is_not_listed(store: Store, author: Any) -> None:
    image = author.image(store)
    report = author.report(store, image, b"passed")
    store.delete(Digest.of(b"passed"))
    with pytest.raises(RegistryError, match=str(Digest.of(b"passed"))):
        store.refer(report)
    assert list(store.referrers(image.digest)) == []


def test_naming_an_image_keeps_its_referrers(store: Store, author: Any) -> None:
    image = author.image(store)
    store.tag(Reference.parse("iris:1"), image)
    report = author.report(store, image)
    store.refer(report)
    store.tag(Reference.parse("iris:2"), image)
    store.untag(Reference.parse("iris:1"))
    assert list(store.referrers(image.digest)) == [report]


def test_threads_that_write_and_name_at_once_lose_nothing(store: Store, author: Any) -> None:
    def work(number: int) -> None:
        for turn in range(5):
            image = author.image(store, f"{number} {turn}")
            store.tag(Reference.parse(f"iris:{number}-{turn}"), image)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(store) == sorted(f"iris:{number}-{turn}" for number in range(4) for turn in range(5))
    for _, descriptor in store.tags():
        assert [store.size_bytes(part.digest) for part in documents.walk(store, descriptor)]
