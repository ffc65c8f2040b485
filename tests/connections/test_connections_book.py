"""Connections in a folder, and their secrets in a keyring that is really one."""

from __future__ import annotations

import json
import stat

import keyring
import pytest
from keyrings.alt.file import PlaintextKeyring

from lading.connections import Book, Safe
from lading.core.connection import Connection, ConnectionDraft, place_of
from lading.core.errors import IntegrityError, RegistryError
from lading.pipeline.connected import Connected

SECRET = "hunter2-correct-horse"
FEED = Connection("feed", "python_feed", "https://feed.example/team/simple/", "pat")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def ring(tmp_path, monkeypatch):
    """A keyring of this test's own, which its user has named."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    before = keyring.get_keyring()
    mine = PlaintextKeyring()
    mine.file_path = str(tmp_path / "elsewhere" / "ring.cfg")
    keyring.set_keyring(mine)
    yield mine
    keyring.set_keyring(before)


@pytest.fixture
def no_ring():
    from keyring.backends.fail import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


def everything_in(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_keyring_that_is_a_file_in_clear_is_not_taken_unless_it_is_named(home, ring, monkeypatch):
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND")
    monkeypatch.setattr(keyring.core, "load_config", lambda: None)  # what this machine's user has named
    with pytest.raises(RegistryError, match="a file in clear") as caught:
        Safe(home, {}).keep(ConnectionDraft(FEED, SECRET))
    assert "--insecure-storage" in caught.value.issues[0].fix
    assert SECRET.encode() not in everything_in(home.parent)


def test_a_secret_goes_to_the_keyring_and_into_no_file_of_ours(home, ring):
    safe, book = Safe(home, {}), Book(home)
    book.keep(safe.keep(ConnectionDraft(FEED, SECRET)))
    (kept,) = book.listed()
    assert kept.kept == "keyring"
    assert safe.find(kept) == SECRET
    assert SECRET.encode() not in everything_in(home)
    safe.forget(kept)
    with pytest.raises(RegistryError, match="no longer has its secret"):
        safe.find(kept)


def test_two_homes_may_have_a_connection_of_one_name(tmp_path, ring):
    first, second = Safe(tmp_path / "a", {}), Safe(tmp_path / "b", {})
    ours, theirs = first.keep(ConnectionDraft(FEED, SECRET)), second.keep(ConnectionDraft(FEED, "another"))
    assert (first.find(ours), second.find(theirs)) == (SECRET, "another")


def test_without_a_keyring_a_secret_in_clear_is_refused_with_the_ways_out(home, no_ring):
    with pytest.raises(RegistryError) as caught:
        Safe(home, {}).keep(ConnectionDraft(FEED, SECRET))
    assert "--insecure-storage" in str(caught.value)
    assert "${NAME}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_keyring_that_forgets_at_once_is_refused(home, ring):
    from keyring.backends.null import Keyring

    keyring.set_keyring(Keyring())
    with pytest.raises(RegistryError, match="does not keep what it is given"):
        Safe(home, {}).keep(ConnectionDraft(FEED, SECRET))


def test_a_file_in_clear_is_its_owners_alone_and_asked_for(home, no_ring):
    safe = Safe(home, {})
    kept = safe.keep(ConnectionDraft(FEED, SECRET), insecurely=True)
    (path,) = [path for path in home.rglob("*") if path.is_file()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert safe.find(kept) == SECRET
    safe.forget(kept)
    assert not path.exists()


def test_a_variable_is_read_when_it_is_needed(home):
    kept = Connection("feed", "python_feed", FEED.target, "pat", variable="PAT", kept="environment")
    assert Safe(home, {"PAT": SECRET}).find(kept) == SECRET
    with pytest.raises(RegistryError, match="the variable PAT is not set"):
        Safe(home, {}).find(kept)


def test_a_book_keeps_what_it_is_given(home):
    book = Book(home)
    assert book.listed() == ()
    book.keep(FEED)
    book.keep(Connection("a", "git", "https://git.example"))
    assert [one.name for one in book.listed()] == ["a", "feed"]
    book.forget("a")
    assert Book(home).listed() == (FEED,)
    assert stat.S_IMODE(book.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["{", "[]", '{"connections": 3}', '{"connections": [{"name": "x"}]}'])
def test_a_malformed_book_is_told(home, text):
    home.mkdir()
    (home / "connections.json").write_text(text)
    with pytest.raises(IntegrityError):
        Book(home).listed()


def connected(home, *targets, kind="python_feed"):
    environ = {}
    for number, target in enumerate(targets):
        environ[f"PAT{number}"] = f"secret-{number}"
        Book(home).keep(
            Connection(f"c{number}", kind, target, "pat", "me", f"PAT{number}", kept="environment")
        )
    return Connected(home, environ)


def test_a_feed_is_told_by_its_host_and_the_longest_path(home):
    known = connected(home, "https://pkgs.example/one/simple", "https://pkgs.example/two/simple/")
    assert known.feed("https://pkgs.example/one/simple/numpy/") == ("me", "secret-0")
    assert known.feed("https://pkgs.example/two/files/numpy.whl") == ("me", "secret-1")
    assert known.feed("https://pkgs.example:8443/one/simple") is None
    assert known.feed("https://evil.example/pkgs.example/one/simple") is None
    assert known.feed("https://pkgs.example.evil.example/one") is None


def test_what_is_meant_for_tls_is_not_sent_without_it(home):
    assert connected(home, "https://pkgs.example/simple").feed("http://pkgs.example/simple") is None


def test_a_connection_of_another_type_is_nobody(home):
    known = connected(home, "https://pkgs.example/simple", kind="git")
    assert known.feed("https://pkgs.example/simple") is None
    assert known.git("https://pkgs.example/simple/repo.git") == ("me", "secret-0")


def test_a_registry_is_told_by_its_host(home):
    known = connected(home, "registry.example:5000/team", kind="container_registry")
    login = known.registry("registry.example:5000", "team/app")
    assert (login.username, login.password) == ("me", "secret-0")
    assert known.registry("registry.example", "team/app") is None


def test_places_are_told_apart_by_host_port_and_path():
    assert place_of("https://A.example/x/") == "a.example/x"
    assert json.dumps(place_of("a.example:1/x")) == '"a.example:1/x"'
