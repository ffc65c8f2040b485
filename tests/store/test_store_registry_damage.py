"""A real registry whose storage was damaged: nothing is named there that cannot be pulled again."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engines import serving
from lading.core import canonical
from lading.core.descriptor import CONFIG, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError
from lading.core.reference import Reference
from lading.store import LayoutStore, RegistryStore, documents
from lading.store.copy import copy
from meddler import Meddler

SIZE_BYTES = 100_000


@dataclass(frozen=True)
class Site:
    """A registry and its storage."""

    host: str
    storage: Path

    def lies_at(self, digest: Digest) -> Path:
        """Name the file of a blob or manifest."""
        return self.storage / "docker/registry/v2/blobs/sha256" / digest.hex[:2] / digest.hex / "data"

    def send(self, layout: LayoutStore, image: Descriptor, repository: str) -> None:
        """Push an image under the tag 1, mounting what `iris` has."""
        with RegistryStore(self.host, repository, attempts=2, backoff_s=0.01) as remote:
            remote.knows("iris")
            copy(layout, image, remote)
            remote.tag(Reference(self.host, repository, "1"), image)

    def tag_names(self, repository: str) -> list[str]:
        with RegistryStore(self.host, repository) as remote:
            return remote.tag_names()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("damaged")
    with serving(folder) as one:
        yield Site(one.host, folder / "data")


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "layout")


@pytest.fixture
def image(author: Any, layout: LayoutStore) -> Descriptor:
    """An image whose one layer nobody else has."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": author.blob(layout, b"{}", CONFIG).to_json(),
        "layers": [author.blob(layout, os.urandom(SIZE_BYTES)).to_json()],
    }
    written: Descriptor = author.blob(layout, canonical.encode(document), MANIFEST)
    return written


def layer(layout: LayoutStore, image: Descriptor) -> Digest:
    return documents.children(layout, image)[-1].digest


@pytest.mark.parametrize("repository", ["iris", "fresh"])
def test_a_push_fails_where_the_registry_keeps_a_blob_cut_short(
    site: Site, layout: LayoutStore, image: Descriptor, repository: str
) -> None:
    blob = layer(layout, image)
    with RegistryStore(site.host, "iris") as remote:
        copy(layout, image, remote)
    os.truncate(site.lies_at(blob), 100)
    tags = site.tag_names(repository)
    with pytest.raises(IntegrityError, match=f"{blob}: {site.host}/{repository} .* 100 bytes") as caught:
        site.send(layout, image, repository)
    assert site.tag_names(repository) == tags
    # what is advised helps
    assert "removed from the registry's storage" in str(caught.value)
    site.lies_at(blob).unlink()
    site.send(layout, image, repository)
    with RegistryStore(site.host, repository) as remote:
        copy(remote, image, LayoutStore(layout.folder.parent / "there"))


@pytest.mark.parametrize("repository", ["iris", "anew"])
def test_a_push_fails_where_the_registry_keeps_a_manifest_cut_short(
    site: Site, layout: LayoutStore, image: Descriptor, repository: str
) -> None:
    with RegistryStore(site.host, "iris") as remote:
        copy(layout, image, remote)
    os.truncate(site.lies_at(image.digest), 100)
    tags = site.tag_names(repository)
    with pytest.raises((IntegrityError, RegistryError), match=f"{repository}.*{image.digest}"):
        site.send(layout, image, repository)
    assert site.tag_names(repository) == tags


def flip(path: Path, old: bytes = b"") -> None:
    """Change one bit, so that the size stays; within a digest `old`, so that JSON stays JSON."""
    data = bytearray(path.read_bytes())
    at = data.index(old) if old else len(data) // 2
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["changed blob", "short blob", "changed manifest"])
@pytest.mark.parametrize("way", ["to a folder", "to a registry", "to be read"])
def test_who_reads_what_was_damaged_is_told_where_it_lies_and_what_helps(
    site: Site, layout: LayoutStore, image: Descriptor, way: str, kind: str
) -> None:
    site.send(layout, image, "iris")
    blob = layer(layout, image)
    damaged = image.digest if "manifest" in kind else blob
    if kind == "short blob":
        os.truncate(site.lies_at(blob), 100)
    else:
        flip(site.lies_at(damaged), blob.hex.encode() if "manifest" in kind else b"")

    def read(source: RegistryStore, host: str) -> None:
        if way == "to be read":
            with source.open(damaged) as stream:
                stream.read()
        elif way == "to a folder":
            copy(source, image, LayoutStore(layout.folder.parent / "there"))
        else:
            with RegistryStore(host, f"to/{uuid.uuid4().hex}", attempts=2, backoff_s=0.01) as sink:
                copy(source, image, sink)

    with (
        closing(Meddler(site.host)) as other,
        RegistryStore(site.host, "iris") as source,
        pytest.raises(IntegrityError, match=f"{damaged}: {site.host}/iris has other bytes") as caught,
    ):
        read(source, other.host)
    assert other.host not in str(caught.value)
    assert "removed from the registry's storage" in str(caught.value)


def test_a_blob_that_was_damaged_here_is_told_to_lie_here(
    site: Site, layout: LayoutStore, image: Descriptor
) -> None:
    blob = layer(layout, image)
    flip(layout.path(blob))
    with pytest.raises(IntegrityError, match=f"{blob}: {layout.folder} has other bytes") as caught:
        site.send(layout, image, "iris")
    assert "pack or pull it again" in str(caught.value)
