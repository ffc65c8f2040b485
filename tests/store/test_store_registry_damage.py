"""A real registry whose storage was damaged: nothing is named there that cannot be pulled again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines import Registry, serving
from lading.core import canonical
from lading.core.descriptor import CONFIG, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError
from lading.core.reference import Reference
from lading.store import LayoutStore, RegistryStore
from lading.store.copy import copy

SIZE_BYTES = 100_000


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@pytest.fixture(scope="module")
def served(storage: Path) -> Iterator[Registry]:
    with serving(storage) as one:
        yield one


@pytest.fixture
def lies_at(storage: Path) -> Callable[[Digest], Path]:
    """Name the file in which the registry keeps a blob or manifest."""
    blobs = storage / "data/docker/registry/v2/blobs/sha256"
    return lambda digest: blobs / digest.hex[:2] / digest.hex / "data"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "layout")


@pytest.fixture
def layer(author: Any, layout: LayoutStore) -> Descriptor:
    blob: Descriptor = author.blob(layout, os.urandom(SIZE_BYTES))
    return blob


@pytest.fixture
def image(author: Any, layout: LayoutStore, layer: Descriptor) -> Descriptor:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": author.blob(layout, b"{}", CONFIG).to_json(),
        "layers": [layer.to_json()],
    }
    written: Descriptor = author.blob(layout, canonical.encode(document), MANIFEST)
    return written


@pytest.mark.parametrize("repository", ["iris", "fresh"])
@pytest.mark.parametrize("kind", ["layer", "image"])
def test_a_push_fails_where_the_registry_keeps_a_part_that_is_cut_short(
    served: Registry,
    lies_at: Callable[[Digest], Path],
    layout: LayoutStore,
    image: Descriptor,
    repository: str,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    with RegistryStore(served.host, "iris") as remote:
        copy(layout, image, remote)
    part = request.getfixturevalue(kind).digest
    os.truncate(lies_at(part), 100)
    with RegistryStore(served.host, repository, attempts=2, backoff_s=0.01) as remote:
        remote.knows("iris")
        with pytest.raises((IntegrityError, RegistryError)) as caught:
            copy(layout, image, remote)
            remote.tag(Reference(served.host, repository, "1"), image)
        assert remote.tag_names() == []
    assert f"{repository}" in str(caught.value)
    assert served.host in str(caught.value)
    assert str(part) in str(caught.value)
    if kind == "layer":
        assert "100 bytes" in str(caught.value)
        assert "removed from the registry's storage" in str(caught.value)
    # what is advised helps
    lies_at(part).unlink()
    with RegistryStore(served.host, repository) as remote:
        copy(layout, image, remote)
        remote.tag(Reference(served.host, repository, "1"), image)
        copy(remote, image, LayoutStore(layout.folder.parent / "there"))
        remote.untag(Reference(served.host, repository, "1"))
