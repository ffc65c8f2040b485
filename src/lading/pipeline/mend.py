"""A failure to read what the store holds goes in; the damaged blobs leave it, and the way out is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from lading.core.descriptor import Descriptor
from lading.core.errors import IntegrityError
from lading.store import LayoutStore, documents


@contextmanager
def dropping_damaged(store: LayoutStore, blobs: Iterable[Descriptor]) -> Iterator[None]:
    """Where reading these blobs fails, remove those that are not what their names say.

    The cache of layers believes a blob that is there: once it is gone, packing again makes it anew. Manifests
    stay, for names depend on them; packing again replaces a damaged one. Raises IntegrityError as it came,
    with that fix.
    """
    try:
        yield
    except IntegrityError as error:
        damaged = [
            one.digest
            for one in blobs
            if not (documents.is_manifest(one) or documents.is_index(one))
            and store.size_bytes(one.digest) is not None
            and not store.is_sound(one.digest)
        ]
        if not damaged:
            raise
        for digest in damaged:
            store.delete(digest)
        raise IntegrityError(*(replace(issue, fix="pack it again") for issue in error.issues)) from error
