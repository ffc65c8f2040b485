"""Requirements on git repositories: a commit is pinned, and its files are the same bytes everywhere."""

from __future__ import annotations

import os
import tarfile

import pytest

from gitting import GitServer, Repository, git
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, LockError, RegistryError
from lading.lock import Git, checkouts, sources
from lading.lock.checkouts import Checkout

SECRET = "hunter2-git-token"


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "served" / "lib.git")
    made.commit(pyproject_toml="[project]\nname = 'lib'\nversion = '1'\n", sub__other_py="B = 1\n")
    return made


@pytest.fixture
def served(repository, tmp_path):
    """The folder of repositories, for who has the token."""
    server = GitServer(tmp_path / "served", f"x-access-token:{SECRET}")
    yield server
    server.close()


@pytest.fixture
def fetcher(tmp_path, fetch):
    def make(name="git", password=SECRET, *, offline=False):
        pair = ("x-access-token", password) if password else None
        environ = {**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
        return Git(fetch, tmp_path / name, lambda _: pair, environ, offline)

    return make


def test_a_branch_is_pinned_to_its_commit(served, repository, fetcher):
    commit = git(repository.folder, "rev-parse", "HEAD")
    for ref in ("", "@main", f"@{commit}"):
        url, digest = fetcher().pin(f"git+{served.url}/lib.git{ref}")
        assert url == f"git+{served.url}/lib.git@{commit}"
        assert Digest.of(fetcher().file(url, digest).read_bytes()) == digest


def test_a_pinned_commit_is_the_same_elsewhere_and_after_the_branch_moved(served, repository, fetcher):
    url, digest = fetcher().pin(f"git+{served.url}/lib.git@main")
    repository.commit(later_py="C = 1\n")
    assert fetcher("elsewhere").file(url, digest).read_bytes() == fetcher().file(url, digest).read_bytes()
    assert fetcher().pin(f"git+{served.url}/lib.git@main").digest != digest


def test_the_beginning_of_a_commits_name_and_a_tag_are_refs(served, repository, fetcher):
    first = git(repository.folder, "rev-parse", "HEAD")
    git(repository.folder, "tag", "v1")
    repository.commit(later_py="C = 1\n")
    for ref in (first[:9], "v1"):
        assert fetcher().pin(f"git+{served.url}/lib.git@{ref}").url.endswith(f"@{first}")


def test_a_subdirectory_is_all_that_is_taken(served, fetcher):
    url, digest = fetcher().pin(f"git+{served.url}/lib.git#egg=other&subdirectory=sub")
    assert url.endswith("#subdirectory=sub")
    with tarfile.open(fetcher().file(url, digest)) as archive:
        assert archive.getnames() == ["checkout/other.py"]


def test_what_was_fetched_is_there_offline(served, fetcher):
    url, digest = fetcher().pin(f"git+{served.url}/lib.git")
    asked = len(served.asked)
    assert fetcher(offline=True).file(url, digest).is_file()
    assert len(served.asked) == asked
    with pytest.raises(RegistryError, match="not here yet"):
        fetcher("nothing", offline=True).file(url, digest)


@pytest.mark.parametrize(
    ("password", "fix"), [(None, "connection create -t git"), (f"wrong-{SECRET}", "connection list")]
)
def test_a_refusal_says_how_to_log_in_and_tells_no_secret(served, fetcher, password, fix):
    with pytest.raises(RegistryError) as caught:
        fetcher(password=password).pin(f"git+{served.url}/lib.git")
    assert f"lading {fix}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_ref_that_is_not_there_is_told(served, fetcher):
    with pytest.raises(RegistryError, match="git cannot have nowhere"):
        fetcher().pin(f"git+{served.url}/lib.git@nowhere")


def test_other_files_than_the_locked_ones_are_refused(served, fetcher):
    url, _ = fetcher().pin(f"git+{served.url}/lib.git")
    with pytest.raises(IntegrityError):
        fetcher().file(url, Digest.of(b"other"))


def test_no_secret_is_kept_with_a_repository(served, fetcher, tmp_path):
    fetcher().pin(f"git+{served.url}/lib.git")
    files = [path for path in (tmp_path / "git").rglob("*") if path.is_file()]
    assert files
    assert not any(SECRET.encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize("url", ["git+https://h/r@--upload-pack=x", "git+https://h/r#subdirectory=../x"])
def test_a_ref_or_folder_that_is_none_is_refused(url):
    with pytest.raises(LockError, match="names no ref or folder"):
        Checkout.parse(url)


@pytest.mark.parametrize(
    "url", ["git+https://h/a/r.git", "git+http://h:1/r@v1.0", "git+https://h/r.git@main#subdirectory=a/b"]
)
def test_parsing_and_printing_agree(url):
    assert str(Checkout.parse(url)) == url


@pytest.mark.parametrize("line", ["lib @ git+https://h/lib.git@v1", "git+https://h/lib.git@v1#egg=lib"])
def test_requirements_files_may_name_a_repository(tmp_path, line):
    path = tmp_path / "requirements.txt"
    path.write_text(f"{line}\n")
    (text,) = sources.load(path, {}).requirements
    assert checkouts.wanted(text).name == "lib"


@pytest.mark.parametrize(
    "line", ["git+https://h/lib.git", "lib @ git+ssh://git@h/lib.git", "lib @ hg+https://h/l"]
)
def test_what_cannot_be_had_of_a_repository_is_refused(tmp_path, line):
    path = tmp_path / "requirements.txt"
    path.write_text(f"{line}\n")
    with pytest.raises(LockError, match=r"requirements\.txt:1"):
        sources.load(path, {})


def test_a_repository_as_a_constraint_is_refused(tmp_path):
    (tmp_path / "limits.txt").write_text("lib @ git+https://h/lib.git\n")
    (tmp_path / "requirements.txt").write_text("-c limits.txt\n")
    with pytest.raises(LockError, match="a constraint cannot be a source checkout"):
        sources.load(tmp_path / "requirements.txt", {})


def test_the_version_of_a_wheel_takes_the_repositorys_place():
    found = checkouts.wanted("Lib.X[b,a] @ git+https://h/lib.git ; python_version >= '3'")
    assert found.at("lib_x-1.2.post1-py3-none-any.whl") == 'lib-x[a,b]==1.2.post1 ; python_version >= "3"'
