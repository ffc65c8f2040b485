"""Which repository of a registry has a blob already, so that another one need not be sent it.

Source: OCI distribution spec 1.1, "Mounting a blob from another repository". What is remembered may be wrong:
then the registry begins an upload instead, which costs nothing.
"""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import urlencode, urljoin

from lading.core.digest import Digest
from lading.core.errors import RegistryError
from lading.store.registry_api import RegistryApi, scopes

_TRIES = 2
_REMEMBERED = 4


class Notes(Protocol):
    """Remembers what can be found out again."""

    def recall(self, key: str, /) -> Any:  # noqa: ANN401 (any JSON value)
        """Return what was noted under a key, None where nothing was."""
        ...

    def note(self, key: str, value: Any, /) -> None:  # noqa: ANN401 (any JSON value)
        """Keep a JSON value."""
        ...


class Mounts:
    """Blobs on their way from one repository to another within a registry."""

    def __init__(self, api: RegistryApi, repository: str, notes: Notes | None) -> None:
        """Mount into `repository`."""
        self._api, self._repository, self._notes = api, repository, notes
        self._sources: tuple[str, ...] = ()

    def knows(self, repository: str) -> None:
        """Try this repository first from now on."""
        if repository != self._repository and repository not in self._sources:
            self._sources = (repository, *self._sources)

    def noted(self, digest: Digest) -> None:
        """Remember that the repository has a blob."""
        if self._notes is not None:
            known = self._recalled(digest)
            if known[:1] != [self._repository]:
                others = [one for one in known if one != self._repository]
                self._notes.note(self._key(digest), [self._repository, *others][:_REMEMBERED])

    def find(self, digest: Digest) -> tuple[bool, str | None]:
        """Mount a blob from a repository that is known to have it.

        Returns whether that was done, and else where an upload was begun instead, if one was.
        """
        remembered = [one for one in self._recalled(digest) if one != self._repository]
        location = None
        for repository in list(dict.fromkeys((*self._sources, *remembered)))[:_TRIES]:
            is_mounted, location = self.mount(digest, repository)
            if is_mounted:
                return True, None
        return False, location

    def mount(self, digest: Digest, repository: str) -> tuple[bool, str | None]:
        """Mount a blob from another repository; return as `find` does."""
        query = urlencode({"mount": str(digest), "from": repository})
        path = f"{self._repository}/blobs/uploads/?{query}"
        wanted = (*scopes(self._repository, "pull,push"), *scopes(repository, "pull"))
        try:
            answer = self._api.call("POST", path, wanted)
        except RegistryError:  # who may not read there sends the blob
            return False, None
        if answer.status == 202 and "location" in answer.headers:
            return False, urljoin(answer.url, answer.headers["location"])
        return answer.status == 201, None

    def _recalled(self, digest: Digest) -> list[str]:
        known = None if self._notes is None else self._notes.recall(self._key(digest))
        return [one for one in known if isinstance(one, str)] if isinstance(known, list) else []

    def _key(self, digest: Digest) -> str:
        return Digest.of(f"blob {self._api.registry} {digest}".encode()).hex
