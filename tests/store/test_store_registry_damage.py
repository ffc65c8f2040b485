"""A real registry whose storage was damaged: nothing is named there that cannot be pulled again."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
