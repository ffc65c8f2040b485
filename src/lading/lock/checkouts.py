"""A requirement on a git repository → its commit, and an archive of that commit's files, the same everywhere.

Sources: PEP 440 (direct references), PEP 508; git-archive(1), git-config(1) for GIT_CONFIG_COUNT. Nothing of
a repository is run: git fetches objects and lists a tree, and what is built of it is built in a sandbox.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LockError, RegistryError
from lading.core.ports import Fetch
from lading.lock import credentials
from lading.lock.indexes import Ask

SCHEMES = ("git+https://", "git+http://")
ARCHIVE = "checkout.tar"
"""What the archive of a checkout is called."""
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*\Z")
_TIMEOUT_S = 600.0
_KNOWN_FIX = "look at the URL and the ref, and at the secret of its connection: lading connection list"
_FIX = "look at the URL and the ref; for a private repository: lading connection create -t git --target URL"


class Pinned(NamedTuple):
    """A commit's files: the URL that names the commit, and the archive's digest."""

    url: str
    digest: Digest


CheckOut = Callable[[str], Pinned]
"""A `git+` URL → the commit that it means now."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A requirement on a repository."""

    name: str
    url: str
    extras: tuple[str, ...]
    marker: str

    def at(self, wheel: str) -> str:
        """Require the version that a wheel's name tells."""
        from packaging.utils import parse_wheel_filename

        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}{extras}=={parse_wheel_filename(wheel)[1]}{marker}"


def wanted(text: str) -> Wanted | None:
    """Read `NAME @ git+https://…`; None for every other requirement."""
    if "git+" not in text:
        return None
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    read = Requirement(text)
    if read.url is None or not read.url.startswith(SCHEMES):
        return None
    marker = str(read.marker) if read.marker else ""
    return Wanted(canonicalize_name(read.name), read.url, tuple(sorted(read.extras)), marker)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A place in a repository. Law: `str(Checkout.parse(t)) == t` where it says no more than is used."""

    repository: str
    """An http or https URL."""
    ref: str | None
    subdirectory: str | None

    @classmethod
    def parse(cls, url: str) -> Checkout:
        """Read `git+https://host/path[@ref][#subdirectory=a/b]`; raise LockError for anything else."""
        parts = urlsplit(url.removeprefix("git+"))
        path, _, ref = parts.path.partition("@")
        below = parse_qs(parts.fragment).get("subdirectory", [""])[0].strip("/")
        ref = unquote(ref)
        if (ref and not _REF.match(ref)) or ".." in PurePosixPath(below).parts:
            raise LockError(Issue(credentials.redact(url, ()), "names no ref or folder of a repository"))
        return cls(parts._replace(path=path, fragment="", query="").geturl(), ref or None, below or None)

    def __str__(self) -> str:
        """Print it as a requirement has it."""
        ref = f"@{self.ref}" if self.ref else ""
        return f"git+{self.repository}{ref}" + (
            f"#subdirectory={self.subdirectory}" if self.subdirectory else ""
        )


@dataclass(frozen=True, slots=True)
class Git:
    """The `Fetch` port, for archives of commits too; what it fetches of repositories stays in a folder."""

    fetch: Fetch
    folder: Path
    ask: Ask
    environ: Mapping[str, str]
    offline: bool = False

    def pin(self, url: str) -> Pinned:
        """Find the commit that a URL means now; RegistryError where there is none to be had."""
        checkout = Checkout.parse(url)
        with self._repository(checkout) as repository:
            commit = self._commit(repository, checkout)
            pinned = replace(checkout, ref=commit)
            return Pinned(str(pinned), self._archived(repository, pinned)[1])

    def file(self, url: str, digest: Digest, size_bytes: int | None = None) -> Path:
        """Return a local file; of a commit, its archive. IntegrityError where that has another digest."""
        if not url.startswith(SCHEMES):
            return self.fetch.file(url, digest, size_bytes)
        checkout = Checkout.parse(url)
        with self._repository(checkout) as repository:
            self._commit(repository, checkout)
            path, got = self._archived(repository, checkout)
        if got != digest:
            raise IntegrityError(Issue(url, f"got {got}, expected {digest}"))
        return path

    def text(self, url: str, limit_bytes: int = 64 << 20) -> bytes:
        """Return a document whose digest is not known yet."""
        return self.fetch.text(url, limit_bytes)

    def size_bytes(self, url: str) -> int | None:
        """Ask how long a file is."""
        return self.fetch.size_bytes(url)

    @contextmanager
    def _repository(self, checkout: Checkout) -> Iterator[Path]:
        """Have a repository of our own for another, and nobody else at it."""
        path = self.folder / hashlib.sha256(checkout.repository.encode()).hexdigest()[:32]
        path.mkdir(parents=True, exist_ok=True)
        with (path / "lading.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (path / "HEAD").exists():
                self._git(path, checkout, "init", "--quiet", "--bare", ".")
            yield path

    def _commit(self, repository: Path, checkout: Checkout) -> str:
        """Fetch what a ref means, unless it is a commit that is here."""
        ref = checkout.ref or "HEAD"
        if _COMMIT.match(ref) and self._tells(repository, checkout, "cat-file", "-e", f"{ref}^{{commit}}"):
            return ref
        if self.offline:
            raise RegistryError(Issue(checkout.repository, f"{ref} is not here yet", "leave out --offline"))
        shallow = ("fetch", "--quiet", "--no-tags", "--depth", "1", checkout.repository, ref)
        if self._tells(repository, checkout, *shallow):
            return self._git(repository, checkout, "rev-parse", "FETCH_HEAD^{commit}").strip()
        # part of a commit's name, or a server that gives no commit by its name
        every = ("+refs/heads/*:refs/theirs/*", "+refs/tags/*:refs/tags/*")
        self._git(repository, checkout, "fetch", "--quiet", "--force", checkout.repository, *every)
        return self._git(
            repository, checkout, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"
        ).strip()

    def _archived(self, repository: Path, checkout: Checkout) -> tuple[Path, Digest]:
        """Write the files of a commit as a tar whose bytes depend on nothing else."""
        below = checkout.subdirectory or ""
        name = hashlib.sha256(f"{checkout.ref}:{below}".encode()).hexdigest()[:32]
        path = repository / f"{name}.tar"
        if not path.is_file():
            given, partial = repository / f"{name}.git.tar", repository / f"{name}.partial"
            tree = f"{checkout.ref}:{below}"
            self._git(repository, checkout, "archive", "--format=tar", "-o", str(given), tree)
            _rewritten(given, partial)
            given.unlink()
            partial.replace(path)
        with path.open("rb") as stream:
            return path, Digest.of_stream(stream)

    def _tells(self, repository: Path, checkout: Checkout, *arguments: str) -> bool:
        return self._run(repository, checkout, arguments).returncode == 0

    def _git(self, repository: Path, checkout: Checkout, *arguments: str) -> str:
        done = self._run(repository, checkout, arguments)
        if done.returncode:
            secrets = self._secrets(checkout)
            said = credentials.redact(done.stderr.strip(), secrets) or "there is no such ref"
            what = f"git cannot have {checkout.ref or 'HEAD'}: {said.splitlines()[-1]}"
            raise RegistryError(Issue(checkout.repository, what, _KNOWN_FIX if secrets else _FIX))
        return done.stdout

    def _run(
        self, repository: Path, checkout: Checkout, arguments: tuple[str, ...]
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["git", *arguments],
                cwd=repository,
                env=self._environment(checkout),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError as error:
            what = "git is not installed, and a requirement names a repository"
            raise LockError(Issue(checkout.repository, what, "install git, or require a wheel")) from error
        except subprocess.TimeoutExpired:
            raise RegistryError(
                Issue(checkout.repository, f"git took longer than {_TIMEOUT_S:.0f} s")
            ) from None

    def _environment(self, checkout: Checkout) -> dict[str, str]:
        """Tell git who to be by variables, which stand on no command line and in no file."""
        own = {name: value for name, value in self.environ.items() if not name.startswith("GIT_DIR")}
        own |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "http:https", "LC_ALL": "C.UTF-8"}
        if pair := self.ask(checkout.repository):
            token = base64.b64encode(":".join(pair).encode()).decode()
            parts = urlsplit(checkout.repository)
            own |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc}/.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {token}",
            }
        return own

    def _secrets(self, checkout: Checkout) -> tuple[str, ...]:
        pair = self.ask(checkout.repository)
        return (pair[1], base64.b64encode(":".join(pair).encode()).decode()) if pair else ()


def _rewritten(given: Path, path: Path) -> None:
    """Write a tar again, below one folder, without times, users and git's own headers."""
    with tarfile.open(given) as source, tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as target:
        for member in sorted(source.getmembers(), key=lambda one: one.name):
            plain = tarfile.TarInfo(f"checkout/{member.name}")
            plain.type, plain.size, plain.linkname = member.type, member.size, member.linkname
            plain.mode = 0o755 if member.mode & 0o100 else 0o644
            target.addfile(plain, source.extractfile(member) if member.isfile() else None)
