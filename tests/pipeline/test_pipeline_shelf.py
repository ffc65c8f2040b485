"""Packages that exist: listed, named, removed, collected, exported."""

import os

import pytest

from lading.store import LayoutStore
from models import write_iris

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def shelf(lading, tmp_path_factory):
    """A home of its own with one package, its blobs taken from the shared one."""
    folder = write_iris(tmp_path_factory.mktemp("iris") / "iris-model")
    lading("pack", folder, "-t", "iris:shelf", "--no-verify")
    own = lading.copy(tmp_path_factory.mktemp("shelf") / "home", "store", linked=True)
    store = LayoutStore(own.home / "store")
    for name, _ in list(store.tags()):  # packages, and assets of workspaces
        if str(name) != "iris:shelf":
            store.untag(name)
    return own


def test_a_package_has_the_names_it_is_given(shelf):
    digest = shelf.json("show", "iris:shelf")["digest"]
    shelf("tag", "iris:shelf", "iris:prod", "registry.example.com/team/iris:1")
    names = {one["name"]: one["digest"] for one in shelf.json("list")}
    assert names == dict.fromkeys(("iris:prod", "iris:shelf", "registry.example.com/team/iris:1"), digest)
    shelf("untag", "registry.example.com/team/iris:1")
    assert shelf.json("show", digest[7:19])["digest"] == digest
    assert "did you mean 'iris:prod'" in shelf.fails(8, "show", "iris:prd")
    shelf("rm", "iris:prod")
    assert [one["name"] for one in shelf.json("list")] == ["iris:shelf"]


def test_one_wrong_name_and_none_is_removed(shelf):
    shelf.fails(8, "rm", "iris:shelf", "nope:1")
    assert [one["name"] for one in shelf.json("list")] == ["iris:shelf"]


@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive"])
def test_equal_packages_export_to_equal_bytes_and_never_over_a_file(shelf, form, tmp_path):
    target = tmp_path / "out"
    shelf("export", "iris:shelf", target, "--format", form)
    shelf("export", "iris:shelf", tmp_path / "again", "--format", form)
    if form != "oci":
        assert target.read_bytes() == (tmp_path / "again").read_bytes()
    assert "--force" in shelf.fails(2, "export", "iris:shelf", target, "--format", form)
    shelf("export", "iris:shelf", target, "--format", form, "--force")


def test_collecting_keeps_what_is_named_and_frees_the_rest(shelf, tmp_path):
    own = shelf.copy(tmp_path / "home", "store", linked=True)
    own("gc", "--cache", "--older-than-s", "0")
    size_bytes = sum(path.stat().st_size for path in (own.home / "store/blobs").rglob("*") if path.is_file())
    shown = own.json("show", "iris:shelf")
    assert shown["size_bytes"] <= size_bytes < shown["size_bytes"] * 1.1
    own("rm", "iris:shelf")
    freed = own.json("gc", "--cache", "--older-than-s", "0")
    assert freed["bytes"] >= shown["size_bytes"]
    assert not any(path.is_file() for path in (own.home / "store/blobs").rglob("*"))


def test_collecting_spares_the_caches_for_a_week(echo, tmp_path):
    home, folder = echo
    own = home.copy(tmp_path / "home")
    own("verify", "echo:1")
    own("rm", "echo:1")
    own("gc", "--older-than-s", "0")
    done = own.run("pack", folder, "-t", "echo:2")
    assert "all from cache" in done.stderr
    own("rm", "echo:2")
    for path in own.home.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    freed = own.json("gc", "--older-than-s", "0")
    assert freed["bytes"] > 20e6
    assert not list((own.home / "cache/unpacked").iterdir())
    assert not list((own.home / "cache/downloads/sha256").iterdir())
    own("pack", folder, "-t", "echo:3", "--no-verify")
