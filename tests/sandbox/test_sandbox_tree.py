"""Trees of hard links look like overlays; paths are followed as they stand in the image."""

from __future__ import annotations

import stat

import pytest

from lading.core.errors import VerifyError
from lading.sandbox.tree import MountPoints, merge, resolve


@pytest.fixture
def layers(tmp_path):
    """Two layers, top first."""
    top, low = tmp_path / "top", tmp_path / "low"
    for path in (top / "usr/lib", low / "usr/lib", low / "d", top / "etc"):
        path.mkdir(parents=True)
    (low / "lib").symlink_to("usr/lib")
    (low / "usr/lib/a").write_text("low a")
    (low / "usr/lib/b").write_text("low b")
    (top / "usr/lib/b").write_text("top b")
    (low / "changes").mkdir()
    (top / "changes").symlink_to("/usr/lib")
    (low / "grows").symlink_to("nowhere")
    (top / "grows").mkdir()
    (top / "up").symlink_to("../../d/../lib")
    (top / "loop").symlink_to("loop")
    return [top, low]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/lib/a", "/usr/lib/a"),
        ("/usr/lib/new/er", "/usr/lib/new/er"),
        ("/absent/../lib", "/usr/lib"),
        ("/changes/x", "/usr/lib/x"),
        ("/up/x", "/usr/lib/x"),
        ("/grows/x", "/grows/x"),
        ("/../../etc", "/etc"),
        ("//d/./e/", "/d/e"),
    ],
)
def test_links_are_followed_inside_the_image(layers, path, expected):
    assert resolve(layers, path) == expected
    assert resolve(layers, expected) == expected


def test_links_without_end_are_refused(layers):
    with pytest.raises(VerifyError, match="more than 40 links"):
        resolve(layers, "/loop/x")


def test_a_merged_tree_is_the_union_with_the_top_winning(layers, tmp_path):
    (layers[1] / "d").chmod(0o711)
    merged = merge(layers, MountPoints(("/tmp", "/new/place"), ("/etc/hosts",)), tmp_path)
    assert (merged / "usr/lib/a").read_text() == "low a"
    assert (merged / "usr/lib/b").read_text() == "top b"
    assert str((merged / "lib").readlink()) == "usr/lib"
    assert str((merged / "changes").readlink()) == "/usr/lib"
    assert (merged / "grows").is_dir()
    assert not (merged / "grows").is_symlink()
    assert (merged / "new/place").is_dir()
    assert (merged / "etc/hosts").read_text() == ""
    assert stat.S_IMODE((merged / "d").stat().st_mode) == 0o711
    assert (merged / "usr/lib/a").stat().st_ino == (layers[1] / "usr/lib/a").stat().st_ino


def test_a_merged_tree_is_made_once_for_the_same_layers_and_places(layers, tmp_path):
    first = merge(layers, MountPoints(("/tmp",)), tmp_path)
    inode = first.stat().st_ino
    assert merge(layers, MountPoints(("/tmp",)), tmp_path) == first
    assert first.stat().st_ino == inode
    assert merge(layers, MountPoints(("/tmp", "/x")), tmp_path) != first
    assert merge(layers[::-1], MountPoints(("/tmp",)), tmp_path) != first
    assert not list(tmp_path.glob(".partial-*"))
