"""Images that other tools saved, taken into a store: real ones, and such as nobody should have written."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lading.core.descriptor import INDEX, LAYER_GZIP, LAYER_TAR, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, SpecError
from lading.core.platform import Platform
from lading.core.reference import Reference
from lading.store import LayoutStore, MemoryStore, documents
from lading.store.export import export
from lading.store.files import opened
from lading.store.saved import Compress, take

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
COMPRESS = Compress(lambda block: gzip.compress(block, mtime=0), 1 << 20)


def tar(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


LAYERS = [tar(a=b"1" * 3000), tar(b=b"2")]


def config(platform: Platform = AMD64, layers: list[bytes] = LAYERS) -> bytes:
    document = {
        "os": "linux",
        "architecture": platform.architecture,
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(one)) for one in layers]},
    }
    return json.dumps(document).encode()


def put(store, platform: Platform = AMD64) -> Descriptor:
    """Write an image of plain layers into a store."""
    data = config(platform)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": Descriptor(
            "application/vnd.oci.image.config.v1+json", Digest.of(data), len(data)
        ).to_json(),
        "layers": [Descriptor(LAYER_TAR, Digest.of(one), len(one)).to_json() for one in LAYERS],
    }
    written = json.dumps(manifest).encode()
    for one in (data, *LAYERS, written):
        documents.write(store, one)
    return Descriptor(manifest["mediaType"], Digest.of(written), len(written), platform=platform)


def put_both(store) -> Descriptor:
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [put(store, one).to_json() for one in (AMD64, ARM64)],
    }
    data = json.dumps(index).encode()
    documents.write(store, data)
    return Descriptor(INDEX, Digest.of(data), len(data))


def saved(path: Path, *, tags: tuple[str, ...] = ("x:1",), **changes: bytes) -> Path:
    """Write what `docker save` wrote before Docker 25: folders of layers, the second a link to the first."""
    data = config(layers=[LAYERS[0], LAYERS[0], LAYERS[1]])
    name = f"{Digest.of(data).hex}.json"
    rows = [{"Config": name, "RepoTags": list(tags), "Layers": [f"{n}/layer.tar" for n in "123"]}]
    files = {
        name: data,
        "manifest.json": json.dumps(rows).encode(),
        "1/layer.tar": LAYERS[0],
        "3/layer.tar": LAYERS[1],
        **changes,
    }
    with tarfile.open(path, "w") as archive:
        for one, contents in files.items():
            entry = tarfile.TarInfo(one)
            entry.size = len(contents)
            archive.addfile(entry, io.BytesIO(contents))
        link = tarfile.TarInfo("2/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../1/layer.tar"
        archive.addfile(link)
    return path


def taken(path: Path, tmp_path: Path, platform: Platform = AMD64, tag: str | None = None):
    store = MemoryStore()
    found = take(path, store, platform, tag=tag, compress=COMPRESS, scratch=tmp_path / "scratch")
    return store, found


@pytest.mark.parametrize("form", ["oci", "oci-archive", "gzip"])
def test_the_image_of_a_layout_is_taken_as_it_is(tmp_path, form):
    source = MemoryStore()
    image = put(source)
    path = tmp_path / "image"
    export(source, image, path, "oci" if form == "oci" else "oci-archive")
    if form == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    store, found = taken(path, tmp_path)
    assert (found.digest, found.platform) == (image.digest, AMD64)
    assert set(store.digests()) == set(source.digests())
    assert not list((tmp_path / "scratch").glob("*")) if form == "gzip" else True


def test_one_platform_of_an_index_is_taken(tmp_path):
    source = LayoutStore(tmp_path / "layout")
    source.tag(Reference.parse("x:1"), put_both(source))
    store, found = taken(tmp_path / "layout", tmp_path, ARM64)
    assert found.platform == ARM64
    with store.open(documents.children(store, found)[0].digest) as stream:
        assert json.load(stream)["architecture"] == "arm64"


def test_a_platform_that_is_missing_is_told_with_those_there_are(tmp_path):
    source = MemoryStore()
    export(source, put(source, ARM64), tmp_path / "image", "oci")
    with pytest.raises(SpecError, match="got platform 'linux/amd64', expected one of: linux/arm64"):
        taken(tmp_path / "image", tmp_path)
    with pytest.raises(SpecError, match="expected one of: linux/amd64"):
        taken(saved(tmp_path / "saved.tar"), tmp_path, ARM64)


def test_an_image_is_named_by_its_tag(tmp_path):
    source = LayoutStore(tmp_path / "layout")
    source.tag(Reference.parse("x:1"), put(source))
    source.tag(Reference.parse("docker.io/library/y:2"), put(source, ARM64))
    with pytest.raises(SpecError, match=r"holds 2 images: .*'x:1'"):
        taken(tmp_path / "layout", tmp_path)
    with pytest.raises(SpecError, match="got tag '3'"):
        taken(tmp_path / "layout", tmp_path, tag="3")
    for tag in ("x:1", "1"):
        assert taken(tmp_path / "layout", tmp_path, tag=tag)[1].platform == AMD64
    for tag in ("docker.io/library/y:2", "y:2", "2"):
        assert taken(tmp_path / "layout", tmp_path, ARM64, tag=tag)[1].platform == ARM64


def test_what_docker_saved_before_it_knew_layouts_gets_a_manifest(tmp_path):
    store, found = taken(saved(tmp_path / "saved.tar"), tmp_path)
    config_of, *layers = documents.children(store, found)
    assert documents.read(store, config_of) == config(layers=[LAYERS[0], LAYERS[0], LAYERS[1]])
    assert [one.media_type for one in layers] == [LAYER_GZIP] * 3
    plain = []
    for one in layers:
        with store.open(one.digest) as stream:
            plain.append(gzip.decompress(stream.read()))
    assert plain == [LAYERS[0], LAYERS[0], LAYERS[1]]


def test_equal_archives_give_equal_images(tmp_path):
    first = taken(saved(tmp_path / "one.tar"), tmp_path)[1]
    packed = tmp_path / "two.tar.gz"
    packed.write_bytes(gzip.compress(saved(tmp_path / "two.tar", tags=("other:3",)).read_bytes()))
    assert taken(packed, tmp_path)[1] == first


def test_the_digest_of_an_image_is_the_same_by_every_way(tmp_path, skopeo):
    source = MemoryStore()
    image = put(source)
    export(source, image, tmp_path / "layout", "oci", name=Reference.parse("x:1"))
    skopeo.call(
        "copy", "--preserve-digests", f"oci:{tmp_path}/layout:x:1", f"oci-archive:{tmp_path}/archive.tar:x:1"
    )
    skopeo.call("copy", f"oci:{tmp_path}/layout:x:1", f"docker-archive:{tmp_path}/saved.tar:x:1")
    assert taken(tmp_path / "archive.tar", tmp_path, tag="x:1")[1].digest == image.digest
    store, found = taken(tmp_path / "saved.tar", tmp_path, tag="x:1")
    assert documents.children(store, found)[0].digest == documents.children(source, image)[0].digest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"1/layer.tar": LAYERS[1]}, "got diff ID"),
        ({"3/layer.tar": b"\x1f\x8b" + LAYERS[1]}, None),
        ({"manifest.json": b"[]"}, "holds 0 images"),
        ({"manifest.json": b"[{}]"}, "names no config"),
        ({"manifest.json": b"{"}, "is not JSON"),
        ({"manifest.json": b'[{"Config": "../../etc/passwd", "Layers": []}]'}, "holds no config"),
        ({"manifest.json": b'[{"Config": "/etc/passwd", "Layers": []}]'}, "holds no config"),
    ],
)
def test_a_broken_archive_is_told(tmp_path, changes, said):
    path = saved(tmp_path / "saved.tar", **changes)
    if said is None:  # what is compressed is checked where it is unpacked
        assert taken(path, tmp_path)
        return
    with pytest.raises((IntegrityError, SpecError), match=said):
        taken(path, tmp_path)


def test_a_config_that_is_not_what_its_name_says_is_refused(tmp_path):
    name = f"{Digest.of(config(layers=[LAYERS[0], LAYERS[0], LAYERS[1]])).hex}.json"
    path = saved(tmp_path / "saved.tar", **{name: config(ARM64, [LAYERS[0], LAYERS[0], LAYERS[1]])})
    with pytest.raises(IntegrityError, match="the bytes were changed"):
        taken(path, tmp_path)


def test_any_flipped_bit_of_a_layout_is_caught(tmp_path):
    source = MemoryStore()
    export(source, put(source), tmp_path / "layout", "oci")
    for blob in sorted((tmp_path / "layout/blobs/sha256").iterdir()):
        shutil.copytree(tmp_path / "layout", tmp_path / "broken", dirs_exist_ok=True)
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / "broken/blobs/sha256" / blob.name).write_bytes(data)
        with pytest.raises((IntegrityError, SpecError)):
            taken(tmp_path / "broken", tmp_path)
        (tmp_path / "broken/blobs/sha256" / blob.name).unlink()
        with pytest.raises(IntegrityError):
            taken(tmp_path / "broken", tmp_path)


@pytest.mark.parametrize("name", ["layout", "saved.tar", "saved.tar.gz"])
def test_what_is_cut_short_is_refused(tmp_path, name):
    path = saved(tmp_path / "saved.tar")
    if name == "layout":
        source = MemoryStore()
        path = tmp_path / "layout.tar"
        export(source, put(source), path, "oci-archive")
    data = gzip.compress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    sizes = (0, 10, len(data) // 2, len(data) - 12 if name.endswith("gz") else 5000)
    for size in sizes:
        (tmp_path / "cut").write_bytes(data[:size])
        with pytest.raises((IntegrityError, SpecError)):
            taken(tmp_path / "cut", tmp_path)


def test_what_is_no_image_is_told_with_a_way_out(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SpecError, match="is no image"):
        taken(tmp_path / "folder", tmp_path)
    (tmp_path / "x.tar").write_bytes(tar(a=b"1"))
    with pytest.raises(SpecError, match=r"docker save"):
        taken(tmp_path / "x.tar", tmp_path)
    (tmp_path / "x.bin").write_bytes(b"no archive at all" * 100)
    with pytest.raises(IntegrityError, match="cannot be read as an archive"):
        taken(tmp_path / "x.bin", tmp_path)


def test_a_layout_whose_blobs_are_links_out_of_it_is_refused(tmp_path):
    source = MemoryStore()
    export(source, put(source), tmp_path / "layout", "oci")
    blob = next((tmp_path / "layout/blobs/sha256").iterdir())
    blob.rename(tmp_path / "moved")
    blob.symlink_to(tmp_path / "moved")
    with pytest.raises(IntegrityError, match="leads out of the folder"):
        taken(tmp_path / "layout", tmp_path)


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_files_of_an_archive_are_read_at_once_and_each_is_its_own(tmp_path, name):
    contents = {str(number): bytes([number]) * (1 << 21) for number in range(8)}
    data = tar(**contents)
    (tmp_path / name).write_bytes(gzip.compress(data, 1) if name.endswith("gz") else data)

    def read(files, one):
        with files.open(one) as stream:
            return b"".join(iter(lambda: stream.read(1 << 10), b""))

    with opened(tmp_path / name, tmp_path / "scratch") as files, ThreadPoolExecutor(8) as pool:
        found = dict(zip(contents, pool.map(lambda one: read(files, one), contents), strict=True))
    assert found == contents


def test_a_bomb_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr("lading.store.files._SPARE_BYTES", 1 << 20)
    packer = zlib.compressobj(9, wbits=31)
    (tmp_path / "bomb.tar.gz").write_bytes(packer.compress(bytes(200 << 20)) + packer.flush())
    with pytest.raises(IntegrityError, match="inflates to far more"):
        taken(tmp_path / "bomb.tar.gz", tmp_path)
