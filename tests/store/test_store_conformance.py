"""What every store does: one suite, run against each of them.

Memory and a folder hold many names and list every blob (`local`); a registry is asked for one repository, and
lists what its tags reach.
"""

from __future__ import annotations

import io
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core.descriptor import LAYER_GZIP, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError, SpecError
from lading.core.ports import OpenAt, Store
from lading.core.reference import Reference
from lading.store import LayoutStore, MemoryStore, RegistryStore, documents

Name = Callable[[str], Reference]

LOCAL: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "layout": lambda folder: LayoutStore(folder / "layout"),
}
ABSENT = Digest.of(b"never written")


@pytest.fixture(params=[*LOCAL, "registry"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param != "registry":
        yield LOCAL[request.param](tmp_path)
        return
    registry = request.getfixturevalue("registry")
    with RegistryStore(registry.host, f"conformance/{uuid.uuid4().hex}") as one:
        yield one


@pytest.fixture(params=list(LOCAL))
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return LOCAL[request.param](tmp_path)


@pytest.fixture
def name(store: Store) -> Name:
    """Make the reference of a tag, within the repository where the store has but one."""
    one = f"{store.registry}/{store.repository}" if isinstance(store, RegistryStore) else "iris"
    return lambda tag: Reference.parse(f"{one}:{tag}")


def read(store: Store, digest: Digest) -> bytes:
    with store.open(digest) as stream:
        return stream.read()


def names(store: Store) -> list[Reference]:
    return [reference for reference, _ in store.tags()]


def described(data: bytes) -> Descriptor:
    return Descriptor(LAYER_GZIP, Digest.of(data), len(data))


def ignore(_: int) -> None:
    pass


class Breaking(io.BytesIO):
    """Bytes that stop coming."""

    def __init__(self, data: bytes, after: int) -> None:
        super().__init__(data)
        self.after = after

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self.after:
            raise RegistryError
        return super().read(min(size or 0, self.after - self.tell()))

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.read(size)


def opening(data: bytes, starts: list[int] | None = None, *, breaks_after: int | None = None) -> OpenAt:
    """Open bytes at an offset, and note it."""

    @contextmanager
    def opened(start_bytes: int) -> Iterator[IO[bytes]]:
        if starts is not None:
            starts.append(start_bytes)
        stream = io.BytesIO(data) if breaks_after is None else Breaking(data, breaks_after)
        stream.seek(start_bytes)
        yield stream

    return opened


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
    assert store.size_bytes(Digest.of(b"something else")) is None
    assert list(store.digests()) == []


def test_a_blob_left_without_commit_leaves_nothing(store: Store) -> None:
    with store.create() as blob:
        blob.write(b"half a blob")
    with suppress(KeyboardInterrupt), store.create() as blob:
        blob.write(b"half a blob")
        raise KeyboardInterrupt
    assert store.size_bytes(Digest.of(b"half a blob")) is None
    assert list(store.digests()) == []


def test_a_blob_that_nothing_names_is_listed_and_once(local: Store, author: Any) -> None:
    assert author.blob(local, b"numpy") == author.blob(local, b"numpy")
    assert list(local.digests()) == [Digest.of(b"numpy")]


@pytest.mark.parametrize("data", [b"", b"a layer", bytes(range(256)) * 10_000], ids=len)
def test_a_blob_that_is_known_is_taken_once(store: Store, data: bytes) -> None:
    heard: list[int] = []
    assert store.take(described(data), opening(data), heard.append) == len(data)
    assert read(store, Digest.of(data)) == data
    assert max(heard, default=0) == len(data)
    starts: list[int] = []
    assert not store.take(described(data), opening(data, starts), ignore)
    assert starts == []


@pytest.mark.parametrize("other", [b"", b"a", b"a lyaer", b"a layer with more"])
def test_a_blob_that_is_not_what_it_was_said_to_be_is_not_taken(store: Store, other: bytes) -> None:
    with pytest.raises(IntegrityError):
        store.take(described(b"a layer"), opening(other), ignore)
    for data in (other, b"a layer"):
        assert store.size_bytes(Digest.of(data)) is None
    assert store.take(described(b"a layer"), opening(b"a layer"), ignore)


@pytest.mark.parametrize("size_bytes", [6, 8])
def test_a_blob_of_another_size_than_it_was_said_to_have_is_not_taken(store: Store, size_bytes: int) -> None:
    lie = Descriptor(LAYER_GZIP, Digest.of(b"a layer"), size_bytes)
    with pytest.raises(IntegrityError):
        store.take(lie, opening(b"a layer"), ignore)
    assert store.size_bytes(lie.digest) is None


def test_a_source_that_breaks_off_leaves_no_blob_and_the_next_try_brings_it(store: Store) -> None:
    data = bytes(range(256)) * 20_000
    with pytest.raises(RegistryError):
        store.take(described(data), opening(data, breaks_after=3_000_000), ignore)
    assert store.size_bytes(Digest.of(data)) is None
    assert store.take(described(data), opening(data), ignore)
    assert read(store, Digest.of(data)) == data


def test_an_image_that_was_taken_can_be_named(store: Store, author: Any, name: Name) -> None:
    there = MemoryStore()
    image = author.image(there, "one", "two")
    for part in documents.walk(there, image):
        assert store.take(part, opening(read(there, part.digest)), ignore)
    store.tag(name("1"), image)
    assert set(store.digests()) == {part.digest for part in documents.walk(there, image)}


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


def test_what_a_name_or_a_referrer_of_it_reaches_is_listed_once(
    store: Store, author: Any, name: Name
) -> None:
    image = author.image(store, "shared", "model")
    index = author.index(store, image, author.image(store, "shared", "another"))
    report = author.report(store, image)
    store.tag(name("1"), index)
    store.tag(name("2"), image)
    store.refer(report)
    reached = {part.digest for root in (index, report) for part in documents.walk(store, root)}
    assert list(store.digests()) == sorted(reached)


def test_a_name_resolves_to_what_it_was_given_to(store: Store, author: Any, name: Name) -> None:
    image = author.image(store)
    store.tag(name("1"), image)
    assert store.resolve(name("1")) == image
    assert names(store) == [name("1")]


def test_names_are_listed_in_order_whatever_the_order_they_were_given_in(
    store: Store, author: Any, name: Name
) -> None:
    image = author.image(store)
    for tag in ("2", "latest", "1", "A", "10", "_b"):
        store.tag(name(tag), image)
    assert names(store) == [name(tag) for tag in ("1", "10", "2", "A", "_b", "latest")]


def test_names_of_many_repositories_are_listed_in_order(local: Store, author: Any) -> None:
    given_names = ["iris:2", "digits:1", "localhost:5000/team/iris:1", "iris:1", "wine"]
    image = author.image(local)
    for name in given_names:
        local.tag(Reference.parse(name), image)
    assert [str(name) for name in names(local)] == sorted(given_names)


def test_a_name_moves_to_another_image_and_the_old_blobs_stay(store: Store, author: Any, name: Name) -> None:
    old, new = author.image(store, "old"), author.image(store, "new")
    store.tag(name("1"), old)
    store.tag(name("1"), new)
    assert store.resolve(name("1")) == new
    assert store.size_bytes(old.digest) == old.size_bytes
    assert names(store) == [name("1")]


def test_what_is_not_there_in_full_is_not_named(store: Store, author: Any, name: Name) -> None:
    image = author.image(store, "layer")
    store.delete(Digest.of(b"layer"))
    with pytest.raises(RegistryError, match=str(Digest.of(b"layer"))):
        store.tag(name("1"), image)
    assert names(store) == []


def test_an_index_of_an_image_that_is_not_there_is_not_named(store: Store, author: Any, name: Name) -> None:
    image = author.image(store)
    index = author.index(store, image)
    store.delete(image.digest)
    with pytest.raises(RegistryError, match=str(image.digest)):
        store.tag(name("1"), index)


def test_a_digest_is_no_name(store: Store, author: Any, name: Name) -> None:
    image = author.image(store)
    with pytest.raises(SpecError, match="without a digest"):
        store.tag(replace(name("1"), digest=image.digest), image)


def test_an_unknown_name_is_refused_with_its_neighbours(store: Store, author: Any, name: Name) -> None:
    with pytest.raises(RegistryError, match=r"lading list|has no names"):
        store.resolve(name("something-quite-different"))
    store.tag(name("1.0"), author.image(store))
    with pytest.raises(RegistryError, match=f"did you mean '{name('1.0')}'"):
        store.resolve(name("1.1"))
    with pytest.raises(RegistryError, match=f"did you mean '{name('1.0')}'"):
        store.resolve(replace(name("1"), tag=None))


def test_an_unknown_name_is_refused_with_like_ones_of_other_repositories(local: Store, author: Any) -> None:
    local.tag(Reference.parse("iris:1"), author.image(local))
    with pytest.raises(RegistryError, match="did you mean 'iris:1'"):
        local.resolve(Reference.parse("irsi:1"))
    with pytest.raises(RegistryError, match="lading list"):
        local.resolve(Reference.parse("something/quite/different:4"))


def test_a_digest_resolves_with_a_name_before_it(store: Store, author: Any, name: Name) -> None:
    image = author.image(store)
    assert store.resolve(replace(name("1"), tag=None, digest=image.digest)) == image
    store.tag(name("1"), image)
    assert store.resolve(replace(name("1"), digest=image.digest)) == image
    with pytest.raises(RegistryError, match="is not in the"):
        store.resolve(replace(name("1"), tag=None, digest=ABSENT))


def test_a_layer_is_no_image_although_its_digest_is_known(store: Store, author: Any, name: Name) -> None:
    layer, text = author.blob(store, b"\x1f\x8b a layer"), author.blob(store, b"{ no manifest")
    for blob in (layer, text, author.blob(store, b"[1]"), author.blob(store, b'{"mediaType":"text/plain"}')):
        with pytest.raises(RegistryError, match="is not in the"):
            store.resolve(replace(name("1"), tag=None, digest=blob.digest))


def test_a_forgotten_name_leaves_the_blobs_and_the_other_names(store: Store, author: Any, name: Name) -> None:
    image = author.image(store)
    for tag in ("1", "latest"):
        store.tag(name(tag), image)
    store.untag(name("1"))
    assert names(store) == [name("latest")]
    assert store.resolve(name("latest")) == image
    with pytest.raises(RegistryError, match="did you mean"):
        store.untag(name("1"))
    store.untag(name("latest"))
    assert names(store) == []
    for part in documents.walk(store, image):
        assert store.size_bytes(part.digest) == part.size_bytes


def test_deleting_an_image_forgets_its_names(store: Store, author: Any, name: Name) -> None:
    image = author.image(store)
    store.tag(name("1"), image)
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


def test_naming_an_image_keeps_its_referrers(store: Store, author: Any, name: Name) -> None:
    image = author.image(store)
    store.tag(name("1"), image)
    report = author.report(store, image)
    store.refer(report)
    store.tag(name("2"), image)
    store.untag(name("1"))
    assert list(store.referrers(image.digest)) == [report]


def test_threads_that_write_and_name_at_once_lose_nothing(store: Store, author: Any, name: Name) -> None:
    def work(number: int) -> None:
        for turn in range(5):
            image = author.image(store, f"{number} {turn}")
            store.tag(name(f"{number}-{turn}"), image)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(store) == sorted(name(f"{number}-{turn}") for number in range(4) for turn in range(5))
    for _, descriptor in store.tags():
        assert [store.size_bytes(part.digest) for part in documents.walk(store, descriptor)]
