"""The manifests of one repository of a registry (OCI distribution spec 1.1, "Pulling manifests")."""

from __future__ import annotations

import difflib

from lading.core.descriptor import Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, RegistryError
from lading.core.reference import Reference
from lading.store import documents
from lading.store.registry_api import Answer, RegistryApi, scopes

_ACCEPT = ", ".join(sorted((*documents.MANIFESTS, *documents.INDEXES)))
_TAGS_PER_PAGE = 1000
_MOST_PAGES = 10_000
_KEPT_BYTES = 16 << 20


class Manifests:
    """Manifests and indexes by tag and digest; those read are kept, within a bound."""

    def __init__(self, api: RegistryApi, repository: str) -> None:
        """Name the repository; nothing is asked yet."""
        self._api, self._repository = api, repository
        self._pull, self._push = scopes(repository, "pull"), scopes(repository, "pull,push")
        self._kept: dict[Digest, bytes] = {}
        self._heard_of: set[Digest] = set()

    def kept(self, digest: Digest) -> bytes | None:
        """Return a manifest that was read or written before."""
        return self._kept.get(digest)

    def has_heard_of(self, digest: Digest) -> bool:
        """Tell whether a digest is a manifest's that was described, or is named by an index that was read."""
        return digest in self._heard_of

    def describe(self, name: str) -> Descriptor | None:
        """Describe what a tag or digest names; None where there is none."""
        path = f"{self._repository}/manifests/{name}"
        accept = {"Accept": _ACCEPT}
        answer = self._api.call("HEAD", path, self._pull, headers=accept, final={500} if ":" in name else ())
        if answer.status == 500:
            # Distribution 2.8 says so of a layer; or it has a problem that may pass
            blob = self._api.call("HEAD", f"{self._repository}/blobs/{name}", self._pull)
            if blob.status == 200:
                return None
            answer = self._api.call("HEAD", path, self._pull, headers=accept)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._api.refusal(answer, "the manifest cannot be asked for")
        media_type, size_bytes = _media_type(answer), answer.headers.get("content-length", "")
        claimed = answer.headers.get("docker-content-digest") or (name if ":" in name else None)
        if claimed is None or not media_type or not size_bytes.isdecimal():
            found = self.get(name)  # the registry does not tell what it need not
            if found is None:
                return None
            media_type, data = found
            return Descriptor(media_type, Digest.of(data), len(data))
        if ":" in name and claimed != name:
            raise self._api.damaged(self._repository, Digest.parse(name), f"answers with {claimed}")
        self._heard_of.add(Digest.parse(claimed))
        return Descriptor(media_type, Digest.parse(claimed), int(size_bytes))

    def get(self, name: str) -> tuple[str, bytes] | None:
        """Read what a tag or digest names: media type and bytes, checked; None where there is none."""
        path = f"{self._repository}/manifests/{name}"
        answer = self._api.call("GET", path, self._pull, headers={"Accept": _ACCEPT})
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._api.refusal(answer, "the manifest cannot be read")
        claimed = answer.headers.get("docker-content-digest")
        digests = [Digest.parse(text) for text in (claimed, name) if text and ":" in text]
        for digest in digests:
            try:
                documents.check(Descriptor("", digest, len(answer.body)), answer.body)
            except IntegrityError as error:
                what = f"has other bytes: {error.issues[0].what}"
                raise self._api.damaged(self._repository, digest, what) from error
        for digest in digests:
            self._keep(digest, answer.body)
        media_type = _media_type(answer)
        if media_type in documents.INDEXES:
            self._heard_of |= {child.digest for child in documents.parse_index(answer.body, name)}
        return media_type, answer.body

    def put(self, name: str, media_type: str, data: bytes) -> None:
        """Write a manifest under a tag or its digest, after everything it names."""
        digest = Digest.of(data)
        path = f"{self._repository}/manifests/{name}"
        answer = self._api.call("PUT", path, self._push, headers={"Content-Type": media_type}, body=data)
        if answer.status != 201:
            raise self._api.refusal(answer, "the registry refuses the manifest")
        claimed = answer.headers.get("docker-content-digest")
        if claimed not in {None, str(digest), name}:
            raise self._api.damaged(self._repository, digest, f"has sealed it as {claimed}")
        self._keep(digest, data)

    def delete(self, digest: Digest) -> bool:
        """Remove a manifest and its tags; return whether it was there. RegistryError where forbidden."""
        self._kept.pop(digest, None)
        return delete(self._api, f"{self._repository}/manifests/{digest}", self._repository)

    def delete_tag(self, tag: str) -> bool:
        """Remove a tag alone; return whether the registry does such a thing."""
        path = f"{self._repository}/manifests/{tag}"
        return self._api.call("DELETE", path, _deleting(self._repository)).status in {200, 202, 204}

    def tags(self) -> list[str]:
        """List the tags in order, page by page (spec, "Listing Tags")."""
        path = f"{self._repository}/tags/list?n={_TAGS_PER_PAGE}"
        found: set[str] = set()
        for _ in range(_MOST_PAGES):
            answer = self._api.call("GET", path, self._pull)
            if answer.status == 404:  # a repository is there once something is
                break
            if answer.status != 200:
                raise self._api.refusal(answer, "the tags cannot be listed")
            found.update(answer.tags())
            if "next" not in answer.links or answer.links["next"] == path:
                break
            path = answer.links["next"]
        return sorted(found)

    def unknown(self, reference: Reference, tags: list[str]) -> RegistryError:
        """Say that a reference is not there, and what is."""
        names = [str(reference.with_tag(tag)) for tag in tags]
        near = difflib.get_close_matches(str(reference), names, n=3, cutoff=0.5)
        near = near or names[-3:]
        where = f"{reference.registry}/{reference.repository}"
        fix = (
            f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else f"{where} has no names that you may see: check how it is spelled, "
            f"or log in: lading login {reference.registry}"
        )
        return RegistryError(Issue(repr(str(reference)), "is not in the registry", fix))

    def _keep(self, digest: Digest, data: bytes) -> None:
        if sum(map(len, self._kept.values())) + len(data) > _KEPT_BYTES:
            self._kept.clear()
        self._kept[digest] = data


def delete(api: RegistryApi, path: str, repository: str) -> bool:
    """Delete a manifest or blob; return whether it was there. RegistryError where that is forbidden."""
    answer = api.call("DELETE", path, _deleting(repository))
    if answer.status in {200, 202, 204}:
        return True
    if answer.status == 404:
        return False
    what, fix = "the registry refuses to delete it", None
    if answer.status in {400, 405}:
        what = "the registry forbids deleting"
        fix = "allow it there (Distribution: storage.delete.enabled), or use the registry's own tools"
    raise api.refusal(answer, what, fix)


def _deleting(repository: str) -> tuple[str, ...]:
    return scopes(repository, "delete,pull,push")


def _media_type(answer: Answer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip()
