"""A real registry behind a proxy that breaks, flips, refuses and forgets."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from engines import Registry
from lading.core import canonical
from lading.core.descriptor import CONFIG, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError
from lading.core.ports import BlobSink, Event
from lading.core.reference import Reference
from lading.store import LayoutStore, RegistryStore, documents, registry_upload
from lading.store.copy import Copied, copy
from meddler import Meddler

PIECE = 1 << 20
BIG = 5 * PIECE + 12_345


class Memory:
    """Notes in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def recall(self, key: str, /) -> Any:
        return self.kept.get(key)

    def note(self, key: str, value: Any, /) -> None:
        self.kept[key] = value


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_upload, "PIECE_BYTES", PIECE)


@pytest.fixture
def remote(meddler: Meddler) -> Iterator[RegistryStore]:
    with RegistryStore(meddler.host, f"trial/{uuid.uuid4().hex}", backoff_s=0.01) as one:
        yield one


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "layout")


@pytest.fixture
def big(layout: LayoutStore, author: Any) -> Descriptor:
    """An image with one layer of several pieces."""
    return image_of(author, layout, os.urandom(BIG), b"small")


def image_of(author: Any, store: BlobSink, *layers: bytes) -> Descriptor:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": author.blob(store, b"{}", CONFIG).to_json(),
        "layers": [author.blob(store, data).to_json() for data in layers],
    }
    image: Descriptor = author.blob(store, canonical.encode(document), MANIFEST)
    return image


def name(store: RegistryStore, tag: str) -> Reference:
    return Reference(store.registry, store.repository, tag)


def read(store: Any, digest: Digest) -> bytes:
    with store.open(digest) as stream:
        return bytes(stream.read())


def assert_same(one: Any, other: Any, image: Descriptor) -> None:
    for part in documents.walk(one, image):
        assert read(one, part.digest) == read(other, part.digest)


def largest(store: Any, image: Descriptor) -> Descriptor:
    return max(documents.walk(store, image), key=lambda part: part.size_bytes)


def test_a_blob_travels_in_pieces_and_once(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    size_bytes = sum(part.size_bytes for part in documents.walk(layout, big))
    assert copy(layout, big, remote) == Copied(size_bytes, 0)
    assert [one.sent_bytes for one in meddler.asked("PATCH")] == [PIECE] * 5
    sent_bytes = meddler.sent_bytes
    assert sent_bytes == size_bytes
    assert copy(layout, big, remote) == Copied(0, size_bytes)
    assert meddler.sent_bytes == sent_bytes
    assert_same(layout, remote, big)


def test_an_upload_that_breaks_between_two_pieces_goes_on_where_the_registry_is(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    meddler.harm("PATCH", "uploads", skip=2, status=503)
    copy(layout, big, remote)
    assert len(meddler.asked("GET", "uploads")) == 1
    assert [one.sent_bytes for one in meddler.asked("PATCH")] == [PIECE, PIECE, 0, PIECE, PIECE, PIECE]
    assert_same(layout, remote, big)


def test_an_upload_that_breaks_within_a_piece_goes_on_where_the_registry_is(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    meddler.holds_bodies = (
        True  # so the registry does not see the half of a piece, which it would refuse to go on from
    )
    meddler.harm("PATCH", "uploads", skip=3, cut_request_after=PIECE // 2)
    copy(layout, big, remote)
    size_bytes = sum(part.size_bytes for part in documents.walk(layout, big))
    assert size_bytes < meddler.sent_bytes <= size_bytes + PIECE
    assert_same(layout, remote, big)


@pytest.mark.parametrize(
    "harm",
    [
        {"method": "POST", "cut_request_after": 0},
        {"method": "POST", "lose_answer": True},
        {"method": "PATCH", "cut_request_after": PIECE // 2},
        {"method": "PATCH", "lose_answer": True},
        {"method": "PUT", "cut_request_after": 1},
        {"method": "PUT", "lose_answer": True},
    ],
    ids=lambda harm: " ".join(map(str, harm.values())),
)
def test_an_upload_that_the_registry_has_forgotten_is_begun_anew(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor, harm: dict[str, Any]
) -> None:
    meddler.harm(path="uploads", **harm)
    copy(layout, big, remote)
    assert_same(layout, remote, big)


def test_a_registry_that_takes_no_pieces_is_sent_the_blob_whole(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    meddler.harm("PATCH", "uploads", status=405, times=99)
    copy(layout, big, remote)
    assert max(one.sent_bytes for one in meddler.asked("PUT", "uploads")) == largest(layout, big).size_bytes
    assert_same(layout, remote, big)


def test_a_registry_that_takes_small_pieces_alone_gets_small_pieces(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor, monkeypatch: Any
) -> None:
    monkeypatch.setattr(registry_upload, "SMALLEST_PIECE_BYTES", PIECE // 16)
    meddler.harm("PATCH", "uploads", status=413, times=2)
    copy(layout, big, remote)
    assert {one.sent_bytes for one in meddler.asked("PATCH")[2:]} == {PIECE // 16}
    assert_same(layout, remote, big)


def test_a_bit_that_flips_on_the_way_there_is_caught_and_the_blob_sent_again(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    meddler.harm("PATCH", "uploads", skip=1, flip_request_at=1234)
    copy(layout, big, remote)
    assert_same(layout, remote, big)


def test_a_connection_that_flips_bits_all_the_time_is_given_up_and_nothing_is_there(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    meddler.harm("PATCH", "uploads", flip_request_at=0, times=99)
    with pytest.raises(RegistryError, match="is not what was sent"):
        copy(layout, big, remote)
    assert remote.size_bytes(largest(layout, big).digest) is None
    assert remote.size_bytes(big.digest) is None


def test_a_blob_that_was_damaged_here_is_told_from_one_damaged_on_the_way(
    remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    path = layout.path(largest(layout, big).digest)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="the bytes were changed"):
        copy(layout, big, remote)
    assert remote.size_bytes(big.digest) is None


def test_a_manifest_that_flips_on_the_way_there_is_refused(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    meddler.harm("PUT", "manifests", flip_request_at=40)
    with pytest.raises((RegistryError, IntegrityError)):
        copy(layout, big, remote)
    assert remote.size_bytes(big.digest) is None


def test_a_download_that_breaks_asks_for_the_rest(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor, tmp_path: Path
) -> None:
    copy(layout, big, remote)
    blob = largest(layout, big).digest
    meddler.harm("GET", blob.hex, cut_response_after=2 * PIECE)
    meddler.harm("GET", blob.hex, cut_response_after=PIECE)
    there = LayoutStore(tmp_path / "there")
    before = len(meddler.passed)
    copy(remote, big, there)
    ranges = [one.headers.get("range") for one in meddler.passed[before:] if blob.hex in one.path]
    assert ranges == [None, f"bytes={2 * PIECE}-", f"bytes={3 * PIECE}-"]
    assert_same(layout, there, big)


def test_a_server_that_does_not_know_ranges_is_read_from_the_beginning(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    copy(layout, big, remote)
    blob = largest(layout, big).digest
    meddler.harm("GET", blob.hex, cut_response_after=2 * PIECE)
    meddler.harm("GET", blob.hex, drop="range")
    assert read(remote, blob) == read(layout, blob)


def test_a_download_that_was_given_up_is_gone_on_with_by_the_next_process(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor, tmp_path: Path
) -> None:
    copy(layout, big, remote)
    blob = largest(layout, big)
    meddler.harm("GET", blob.digest.hex, cut_response_after=3 * PIECE)
    with (
        RegistryStore(meddler.host, remote.repository, attempts=1) as hasty,
        pytest.raises(RegistryError),
    ):
        copy(hasty, big, LayoutStore(tmp_path / "there"))
    there = LayoutStore(tmp_path / "there")
    assert there.size_bytes(blob.digest) is None
    copied = copy(remote, big, there)
    size_bytes = sum(part.size_bytes for part in documents.walk(layout, big))
    assert blob.size_bytes - 3 * PIECE <= copied.moved_bytes <= size_bytes - 3 * PIECE
    assert copied.moved_bytes + copied.present_bytes == size_bytes
    assert meddler.asked("GET", blob.digest.hex)[-1].received_bytes == blob.size_bytes - 3 * PIECE
    assert_same(layout, there, big)
    assert not list((there.folder / ".ingest").iterdir())


def test_a_wrong_beginning_that_an_earlier_try_left_does_no_harm(
    remote: RegistryStore, layout: LayoutStore, big: Descriptor, tmp_path: Path
) -> None:
    copy(layout, big, remote)
    there = LayoutStore(tmp_path / "there")
    copy(remote, big, there)
    for part in documents.walk(layout, big):
        there.path(part.digest).unlink()
        (there.folder / ".ingest" / part.digest.hex).write_bytes(b"something else")
    copy(remote, big, there)
    assert_same(layout, there, big)


@pytest.mark.parametrize("kind", ["blobs", "manifests"])
def test_a_bit_that_flips_on_the_way_here_is_caught_and_nothing_is_kept(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor, kind: str
) -> None:
    copy(layout, big, remote)
    part = big if kind == "manifests" else largest(layout, big)
    path = f"{kind}/{part.digest}"
    there = LayoutStore(layout.folder.parent / "there")
    with RegistryStore(meddler.host, remote.repository, backoff_s=0.01) as fresh:
        meddler.harm("GET", path, flip_response_at=100)
        with pytest.raises(IntegrityError, match=str(part.digest)):
            copy(fresh, big, there)
        assert there.size_bytes(part.digest) is None
        assert there.size_bytes(big.digest) is None
        assert not list((there.folder / ".ingest").glob(part.digest.hex))
        meddler.harm("GET", path, flip_response_at=100)
        with pytest.raises(IntegrityError, match=str(part.digest)):
            read(fresh, part.digest)
        copy(fresh, big, there)
    assert_same(layout, there, big)


def test_several_blobs_travel_at_a_time_and_progress_is_told_in_order(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, author: Any
) -> None:
    image = image_of(author, layout, *(os.urandom(1000) for _ in range(8)))
    together = threading.Barrier(4, timeout=60)
    meddler.harm("PUT", "uploads", first=together.wait, times=8)
    events: list[Event] = []
    copy(layout, image, remote, stage="push", events=events.append)
    size_bytes = sum(part.size_bytes for part in documents.walk(layout, image))
    assert {(one.stage, one.kind, one.total) for one in events} == {("push", "progress", size_bytes)}
    done = [one.done for one in events]
    assert done == sorted(done)
    assert done[-1] == size_bytes


def test_one_blob_that_fails_ends_the_others(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, author: Any
) -> None:
    image = image_of(author, layout, *(os.urandom(1000) for _ in range(30)))
    meddler.harm("PUT", "uploads", skip=2, status=400)
    with pytest.raises(RegistryError, match="the registry refuses the blob"):
        copy(layout, image, remote)
    assert len(meddler.asked("PUT")) < 15
    assert remote.tag_names() == []


def test_one_blob_that_fails_ends_those_that_wait(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, author: Any
) -> None:
    image = image_of(author, layout, os.urandom(2000), os.urandom(1000))
    # the larger one is begun first
    waits = threading.Event()
    meddler.harm("PUT", "uploads", status=429, headers={"Retry-After": "100"}, first=waits.set)
    meddler.harm("PUT", "uploads", status=400, times=9, first=lambda: waits.wait(60))
    begun_s = time.monotonic()
    with pytest.raises(RegistryError, match="the registry refuses the blob"):
        copy(layout, image, remote)
    assert time.monotonic() - begun_s < 60


def test_what_another_repository_has_is_mounted_and_does_not_travel(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    size_bytes = sum(part.size_bytes for part in documents.walk(layout, big))
    notes = Memory()
    copied = []
    for repository in (uuid.uuid4().hex, uuid.uuid4().hex):
        with RegistryStore(meddler.host, repository, notes=notes) as store:
            copied.append(copy(layout, big, store))
            store.tag(name(store, "1"), big)
            assert_same(layout, store, big)
    mounted = Copied(big.size_bytes, size_bytes - big.size_bytes)
    assert copied == [Copied(size_bytes, 0), mounted]
    # the manifest alone: to each repository, and once more with its tag
    assert meddler.sent_bytes == size_bytes + 3 * big.size_bytes
    # what was pulled from there is known to be there, too
    notes.kept.clear()
    with (
        RegistryStore(meddler.host, repository, notes=notes) as store,
        RegistryStore(meddler.host, uuid.uuid4().hex, notes=notes) as another,
    ):
        copy(store, big, LayoutStore(layout.folder.parent / "there"))
        assert copy(layout, big, another) == mounted
    # without notes, from a store of the same registry
    with RegistryStore(meddler.host, repository) as store:
        assert copy(store, big, remote) == mounted


def test_notes_that_are_wrong_cost_nothing(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    remote.knows("some/where")
    copy(layout, big, remote)
    assert_same(layout, remote, big)
    assert remote.mount(Digest.of(b"never written"), "some/where") is False


def test_an_image_goes_from_one_registry_to_another_through_broken_connections(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor, registry: Registry
) -> None:
    copy(layout, big, remote)
    other = Meddler(registry.host)
    with closing(other), RegistryStore(other.host, uuid.uuid4().hex, backoff_s=0.01) as sink:
        meddler.harm("GET", largest(layout, big).digest.hex, cut_response_after=3 * PIECE // 2)
        other.harm("PATCH", "uploads", skip=2, status=502)
        copy(remote, big, sink)
        sink.tag(name(sink, "1"), big)
        assert_same(layout, sink, big)


def test_a_registry_that_asks_for_patience_gets_it(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    copy(layout, big, remote)
    meddler.harm("HEAD", "blobs", status=429, headers={"Retry-After": "1"})
    begun_s = time.monotonic()
    assert remote.size_bytes(largest(layout, big).digest) == largest(layout, big).size_bytes
    assert time.monotonic() - begun_s >= 1
    meddler.harm(
        "HEAD", "blobs", status=503, headers={"Retry-After": formatdate(time.time() + 2, usegmt=True)}
    )
    begun_s = time.monotonic()
    assert remote.size_bytes(largest(layout, big).digest) == largest(layout, big).size_bytes
    assert time.monotonic() - begun_s >= 0.9


def test_a_registry_that_asks_for_an_hour_is_not_waited_for(meddler: Meddler, remote: RegistryStore) -> None:
    meddler.harm("HEAD", "blobs", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(RegistryError, match=r"429[^\n]*\n  fix: try again in 3600 s"):
        remote.size_bytes(Digest.of(b"never written"))


def test_what_cannot_pass_is_told_at_once_and_what_may_is_told_after_some_tries(
    meddler: Meddler, remote: RegistryStore, layout: LayoutStore, big: Descriptor
) -> None:
    meddler.harm("POST", "uploads", status=400)
    with pytest.raises(RegistryError, match="400"):
        copy(layout, largest(layout, big), remote)
    assert len(meddler.asked("POST")) == 1
    meddler.harm("POST", "uploads", status=502, times=99)
    with pytest.raises(RegistryError, match="502 Harm, 6 tries"):
        copy(layout, largest(layout, big), remote)
    assert len(meddler.asked("POST")) == 7


def test_manifests_are_asked_for_where_they_are(
    meddler: Meddler, remote: RegistryStore, author: Any, layout: LayoutStore, tmp_path: Path
) -> None:
    index = author.index(layout, author.image(layout, "one"), author.image(layout, "two"))
    copy(layout, index, remote)
    remote.tag(name(remote, "1"), index)
    before = len(meddler.passed)
    with RegistryStore(meddler.host, remote.repository) as fresh:
        copy(fresh, fresh.resolve(name(fresh, "1")), LayoutStore(tmp_path / "there"))
    # the first is turned away: it asks for TLS
    asked = [one.path for one in meddler.passed[before:] if one.method == "GET"]
    assert len(asked) == len(set(asked)) == 3 + 4
