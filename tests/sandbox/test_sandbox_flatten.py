"""Images of any maker come to one folder, as an engine would show them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.descriptor import LAYER_GZIP, LAYER_TAR, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError
from lading.core.image import Layer
from lading.core.ports import ignore
from lading.sandbox.flatten import flatten
from sealing import Blobs

Entry = tuple[str, bytes | str | None]
"""A path with a file's contents, where a link leads, or nothing for a folder."""


def tar(*entries: Entry | tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
                continue
            member, contents = tarfile.TarInfo(entry[0]), entry[1]
            if contents is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(contents, str):
                member.type, member.linkname = tarfile.SYMTYPE, contents
            else:
                member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents) if isinstance(contents, bytes) else None)
    return stream.getvalue()


def special(path: str, kind: bytes, **changes: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.type = kind
    for key, value in changes.items():
        setattr(member, key, value)
    return member


def come_to(folder: Path, *tars: bytes, blobs: Blobs | None = None) -> Path:
    blobs = blobs or Blobs()
    layers = [
        Layer(Descriptor(LAYER_TAR, blobs.put(one), len(one)), Digest.of(one), "image", f"layer {number}")
        for number, one in enumerate(tars)
    ]
    return flatten(layers, blobs, folder / "unpacked", ignore)


def listed(root: Path) -> dict[str, str]:
    """Say what lies in a folder: text of files, `-> target` of links, `/` for folders."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "/" if path.is_dir() else path.read_text()
    return found


def test_a_whiteout_deletes_what_lies_below_and_nothing_of_its_own_layer(tmp_path):
    lower = tar(("a", b"1"), ("b/c", b"1"), ("b/d", b"1"))
    upper = tar((".wh.a", b""), ("b/.wh.c", b""), ("b/e", b"2"), ("a", b"2"), (".wh.never", b""))
    assert listed(come_to(tmp_path, lower, upper)) == {"a": "2", "b": "/", "b/d": "1", "b/e": "2"}


@pytest.mark.parametrize("first", [True, False])
def test_an_opaque_folder_hides_what_lies_below_wherever_the_mark_stands(tmp_path, first):
    lower = tar(("a/old", b"1"), ("a/deep/old", b"1"), ("a/deep/both", b"1"))
    mark, new = ("a/.wh..wh..opq", b""), ("a/deep/new", b"2")
    upper = tar(*([mark, new] if first else [new, mark]))
    assert listed(come_to(tmp_path, lower, upper)) == {"a": "/", "a/deep": "/", "a/deep/new": "2"}


def test_folders_are_merged_and_anything_else_replaces(tmp_path):
    lower = tar(("d/1", b"1"), ("f", b"1"), ("link", "d"), ("g/h", b"1"))
    upper = tar(("d/2", b"2"), ("f/inside", b"2"), ("link/3", b"2"), ("g", b"2"))
    assert listed(come_to(tmp_path, lower, upper)) == {
        "d": "/",
        "d/1": "1",
        "d/2": "2",
        "f": "/",
        "f/inside": "2",
        "g": "2",
        "link": "/",
        "link/3": "2",
    }


def test_devices_rights_and_attributes_are_left_out(tmp_path):
    attributes = special("bin/ping", tarfile.REGTYPE, mode=0o4755)
    attributes.pax_headers = {"SCHILY.xattr.security.capability": "\x01\x00\udcff"}
    root = come_to(
        tmp_path,
        tar(
            special("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3),
            special("run/pipe", tarfile.FIFOTYPE),
            attributes,
            special("srv", tarfile.DIRTYPE, mode=0o2555, uid=1000),
            ("srv/data", b"1"),
        ),
    )
    assert listed(root) == {"bin": "/", "bin/ping": "", "srv": "/", "srv/data": "1"}
    assert (root / "bin/ping").stat().st_mode & 0o7777 == 0o755
    assert (root / "srv").stat().st_uid == os.geteuid()


def test_a_hard_link_may_lead_to_a_lower_layer(tmp_path):
    upper = tar(special("b/two", tarfile.LNKTYPE, linkname="a/one"))
    root = come_to(tmp_path, tar(("a/one", b"1")), upper)
    assert listed(root)["b/two"] == "1"


def test_absolute_names_and_those_that_come_twice_are_as_engines_take_them(tmp_path):
    assert listed(come_to(tmp_path, tar(("/etc/x", b"1"), ("etc/x", b"2"), ("./y", b"3")))) == {
        "etc": "/",
        "etc/x": "2",
        "y": "3",
    }


@pytest.mark.parametrize(
    "upper",
    [
        tar(("out/stolen", b"2")),
        tar(("deep/up/stolen", b"2")),
        tar((".wh.out", b"")),
        tar(("out/.wh.victim", b"")),
        tar(("out/.wh..wh..opq", b"")),
        tar(("deep/up/.wh..wh..opq", b"")),
        tar(("new", "{outside}"), ("new/stolen", b"2")),
        tar(special("copy", tarfile.LNKTYPE, linkname="out/victim")),
        tar(special("out", tarfile.DIRTYPE, mode=0o777)),
    ],
)
def test_nothing_outside_is_written_read_or_removed(tmp_path, upper):
    (outside := tmp_path / "outside").mkdir(mode=0o755)
    (outside / "victim").write_text("mine")
    lower = tar(("out", str(outside)), ("deep/up", "../../../outside"))
    try:
        root = come_to(tmp_path, lower, upper)
    except IntegrityError:
        pass
    else:
        assert "mine" not in listed(root).values()
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"victim": "mine"}
    assert outside.stat().st_mode & 0o777 == 0o755


def test_a_link_of_the_same_layer_is_followed_inside_the_image(tmp_path):
    root = come_to(tmp_path, tar(("usr/lib", None), ("lib", "/usr/lib"), ("lib/x", b"1")))
    assert listed(root) == {"lib": "-> /usr/lib", "usr": "/", "usr/lib": "/", "usr/lib/x": "1"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", ".wh..", "b/.wh.."])
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(IntegrityError):
        come_to(tmp_path, tar(("b", None), (name, b"1")))


def test_a_layer_that_is_not_what_its_diff_id_says_leaves_nothing(tmp_path):
    blobs, data = Blobs(), tar(("a", b"1"))
    layer = Layer(Descriptor(LAYER_TAR, blobs.put(data), len(data)), Digest.of(b"other"), "image", "x")
    with pytest.raises(IntegrityError, match="got diff ID"):
        flatten([layer], blobs, tmp_path / "unpacked", ignore)
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_it_is_unpacked_once(tmp_path):
    blobs, data = Blobs(), tar(("a", b"1"))
    first = come_to(tmp_path, data, blobs=blobs)
    assert come_to(tmp_path, data, blobs=blobs) == first
    assert blobs.opened == 1


NAMES = st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "a/a/b", "a/b/b"])
CHANGES = st.lists(st.tuples(NAMES, st.sampled_from(["file", "folder", "white", "opaque"])), max_size=6)


@given(changes=st.lists(CHANGES, min_size=1, max_size=4))
def test_layers_come_to_what_applying_each_in_turn_gives(changes, tmp_path_factory):
    """A model with a dictionary of paths: first what a layer deletes, then what it brings."""
    expected: dict[str, str] = {}
    tars = []
    for number, layer in enumerate(changes):
        marks, brought = _sorted_out(layer, str(number))
        for mark in marks:
            expected = _without(expected, mark)
        for path, text in brought.items():
            if text != "/":
                expected = {one: old for one, old in expected.items() if not one.startswith(f"{path}/")}
            expected[path] = text
        entries = [(path, None if text == "/" else text.encode()) for path, text in brought.items()]
        tars.append(tar(*entries, *((mark, b"") for mark in marks)))
    root = come_to(tmp_path_factory.mktemp("law"), *tars)
    assert listed(root) == expected


def _sorted_out(layer: list[tuple[str, str]], text: str) -> tuple[list[str], dict[str, str]]:
    """Return a layer's marks and what it brings, without what contradicts itself: a file with files in it."""
    marks: list[str] = []
    brought: dict[str, str] = {}
    for path, kind in layer:
        parent, _, name = path.rpartition("/")
        above = {path[:end] for end, char in enumerate(path) if char == "/"}
        beside = {path} if kind == "opaque" else set()
        is_below_a_file = any(brought.get(one, "/") != "/" for one in above | beside)
        is_above_something = kind == "file" and any(one.startswith(f"{path}/") for one in brought)
        if is_below_a_file or is_above_something or (path in brought and kind in {"file", "folder"}):
            continue
        if kind == "white":
            marks.append(f"{parent}/.wh.{name}".lstrip("/"))
        elif kind == "opaque":
            marks.append(f"{path}/.wh..wh..opq")
        else:
            brought |= dict.fromkeys(sorted(above), "/") | {path: text if kind == "file" else "/"}
    known = {path for path, contents in brought.items() if contents != "/"}
    return [mark for mark in marks if not any(mark.startswith(f"{path}/") for path in known)], brought


def _without(expected: dict[str, str], mark: str) -> dict[str, str]:
    """Return what a mark leaves of the layers below."""
    folder, _, name = mark.rpartition("/")
    is_opaque = name == ".wh..wh..opq"
    lost = folder if is_opaque else f"{folder}/{name[4:]}".lstrip("/")
    if is_opaque and expected.get(folder) != "/":
        return expected
    gone = {path for path in expected if path.startswith(f"{lost}/") or (path == lost and not is_opaque)}
    return {path: text for path, text in expected.items() if path not in gone}


def test_a_real_image_comes_to_what_umoci_unpacks(tmp_path, umoci):
    """Its own layers: whiteouts, links and modes as another tool writes them."""
    layout = tmp_path / "layout"
    umoci.call("init", "--layout", layout)
    umoci.call("new", "--image", f"{layout}:x")
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    for step in range(3):
        bundle = tmp_path / f"bundle{step}"
        umoci.call("unpack", *rootless, "--image", f"{layout}:x", bundle)
        root = bundle / "rootfs"
        if step == 0:
            for name in ("usr/lib/one", "usr/bin/tool", "var/x/y/z"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(name)
            (root / "lib").symlink_to("usr/lib")
            os.link(root / "usr/bin/tool", root / "usr/bin/same")
        elif step == 1:
            subprocess.run(["rm", "-r", root / "var/x", root / "usr/lib/one"], check=True)
            (root / "usr/local").mkdir()
            (root / "usr/bin/tool").rename(root / "usr/local/tool")
        else:
            (root / "var/x").write_text("a file now")
            break
        umoci.call("repack", "--image", f"{layout}:x", bundle)
    umoci.call("repack", "--image", f"{layout}:x", bundle)
    blobs = Blobs()
    found = _layers_of(layout, blobs)
    final = tmp_path / "final"
    umoci.call("unpack", *rootless, "--image", f"{layout}:x", final)
    assert len(found) == 3
    assert listed(flatten(found, blobs, tmp_path / "unpacked", ignore)) == listed(final / "rootfs")


def _layers_of(layout: Path, blobs: Blobs) -> list[Layer]:

    def document(digest: str) -> dict:
        return json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())

    manifest = document(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"])
    diff_ids = document(manifest["config"]["digest"])["rootfs"]["diff_ids"]
    layers = []
    for one, diff_id in zip(manifest["layers"], diff_ids, strict=True):
        data = (layout / "blobs" / one["digest"].replace(":", "/")).read_bytes()
        descriptor = Descriptor(LAYER_GZIP, blobs.put(data), len(data))
        layers.append(Layer(descriptor, Digest.parse(diff_id), "image", "x"))
    return layers
