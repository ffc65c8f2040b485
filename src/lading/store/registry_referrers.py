"""The manifests that name another as their subject, in a registry.

Source: OCI distribution spec 1.1, "Listing Referrers". In a registry that does not list them (Distribution
before 3) an index of them lies under the tag `sha256-<hex>` (spec, "Referrers Tag Schema"), which clients
read, change and write back.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from lading.core import canonical
from lading.core.descriptor import INDEX, Descriptor
from lading.core.digest import Digest
from lading.core.errors import Issue, RegistryError
from lading.store import documents
from lading.store.registry_api import RegistryApi, scopes
from lading.store.registry_manifests import Manifests

_FALLBACK = re.compile(r"(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})\Z")
_TRIES = 5


def is_fallback_tag(tag: str) -> bool:
    """Tell whether a tag is an index of referrers rather than a name."""
    return bool(_FALLBACK.match(tag))


class Referrers:
    """The referrers of one repository."""

    def __init__(self, api: RegistryApi, repository: str, manifests: Manifests) -> None:
        """List the referrers of manifests in `repository`."""
        self._api, self._repository, self._manifests = api, repository, manifests
        self._lock = threading.Lock()

    def list(self, subject: Digest) -> tuple[Descriptor, ...]:
        """List the referrers of a manifest in the registry's order, the oldest first under a tag."""
        found = self._listed(subject)
        return self._read(subject) if found is None else found

    def add(self, subject: Digest, descriptor: Descriptor) -> None:
        """List a manifest that is there, where the registry does not do so itself."""

        def with_it(rows: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
            return rows if descriptor.digest in _digests(rows) else (*rows, descriptor)

        if self._listed(subject) is None:
            self._change(subject, with_it)

    def remove(self, subject: Digest, digest: Digest) -> None:
        """List a manifest no more."""

        def without_it(rows: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
            return tuple(row for row in rows if row.digest != digest)

        if self._listed(subject) is None:
            self._change(subject, without_it)

    def _listed(self, subject: Digest) -> tuple[Descriptor, ...] | None:
        """Ask the registry; None where it does not list referrers."""
        path = f"{self._repository}/referrers/{subject}"
        rows: list[Descriptor] = []
        pages: set[str] = set()
        while path not in pages:
            pages.add(path)
            answer = self._api.call("GET", path, scopes(self._repository, "pull"), headers={"Accept": INDEX})
            kind = answer.headers.get("content-type", "").partition(";")[0].strip()
            if answer.status != 200 or kind != INDEX:
                return None
            rows += documents.parse_index(answer.body, answer.url)
            path = answer.links.get("next", path)
        return tuple(rows)

    def _read(self, subject: Digest) -> tuple[Descriptor, ...]:
        tag = f"{subject.algorithm}-{subject.hex}"
        found = self._manifests.get(tag)
        return () if found is None else tuple(documents.parse_index(found[1], tag))

    def _change(
        self, subject: Digest, change: Callable[[tuple[Descriptor, ...]], tuple[Descriptor, ...]]
    ) -> None:
        """Read, change and write the index; again where another client has written at the same time."""
        with self._lock:
            for _ in range(_TRIES):
                rows = self._read(subject)
                wanted = change(rows)
                if wanted == rows:
                    return
                document = {
                    "schemaVersion": 2,
                    "mediaType": INDEX,
                    "manifests": [row.to_json() for row in wanted],
                }
                self._manifests.put(f"{subject.algorithm}-{subject.hex}", INDEX, canonical.encode(document))
        what = "its list of referrers is changed by others all the time"
        raise RegistryError(Issue(f"{self._repository}@{subject}", what, "try again"))


def _digests(rows: tuple[Descriptor, ...]) -> set[Digest]:
    return {row.digest for row in rows}
