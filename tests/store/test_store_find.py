"""What a person types finds what they mean."""

from __future__ import annotations

from typing import Any

import pytest

from lading.core.digest import Digest
from lading.core.errors import RegistryError, SpecError
from lading.core.reference import Reference
from lading.store import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_a_name_a_digest_and_the_beginning_of_one_find_the_same(store: MemoryStore, author: Any) -> None:
    image = author.image(store)
    store.tag(Reference.parse("iris:1"), image)
    digest = image.digest
    for text in (
        "iris:1",
        f"iris@{digest}",
        str(digest),
        digest.hex,
        digest.hex[:4],
        f"sha256:{digest.short}",
    ):
        assert store.find(text) == image


def test_an_image_without_a_name_and_one_inside_an_index_are_found_by_digest(
    store: MemoryStore, author: Any
) -> None:
    image = author.image(store, "inside")
    store.tag(Reference.parse("iris:1"), author.index(store, image))
    assert store.find(image.digest.short).digest == image.digest
    unnamed = author.image(store, "unnamed")
    assert store.find(str(unnamed.digest)) == unnamed


def test_a_name_counts_more_than_a_digest_that_begins_like_it(store: MemoryStore, author: Any) -> None:
    image, other = author.image(store), author.image(store, "other")
    store.tag(Reference.parse("iris:1"), image)
    store.tag(Reference.parse(image.digest.hex[:6]), other)
    assert store.find(image.digest.hex[:6]) == other


def test_a_beginning_of_several_digests_is_refused_with_what_it_could_be(
    store: MemoryStore, author: Any
) -> None:
    index = store._read_index()
    twins = [author.image(store, str(number)) for number in range(2)]
    for number, twin in enumerate(twins):
        forged = Digest("sha256", f"abcd{number}" + twin.digest.hex[5:])
        index = index.listing(type(twin)(twin.media_type, forged, twin.size_bytes))
    store._replace_index(index)
    with pytest.raises(RegistryError, match=r"begins several digests: abcd0.*, abcd1") as caught:
        store.find("abcd")
    assert caught.value.issues[0].fix == "give more digits"


@pytest.mark.parametrize("text", ["abc", "abcdef", "sha256:abcdef", f"sha256:{64 * '0'}", "iris"])
def test_what_is_unknown_is_refused(store: MemoryStore, author: Any, text: str) -> None:
    author.image(store)
    with pytest.raises(RegistryError, match="not in the store"):
        store.find(text)


def test_what_could_name_nothing_is_refused(store: MemoryStore) -> None:
    with pytest.raises(SpecError, match="expected lower-case words"):
        store.find("Iris Model")
