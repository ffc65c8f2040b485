"""A store whose bytes were damaged at unchanged length: it is told, and packing again mends it."""

import gzip
import io
import json
import shutil
import tarfile

import pytest

from lading.core import canonical
from lading.core.descriptor import CONFIG, LAYER_GZIP, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, VerifyError
from lading.core.image import Layer
from lading.core.reference import Reference
from lading.pipeline import shelf
from lading.pipeline.context import Context
from lading.settings import Settings
from lading.store import documents


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture
def context(tmp_path):
    return Context(Settings(tmp_path / "home", sandbox="unshare"))


@pytest.fixture
def layer(context):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"numpy"))
    blob = gzip.compress(stream.getvalue(), mtime=0)
    descriptor = Descriptor(LAYER_GZIP, documents.write(context.store, blob), len(blob))
    return Layer(descriptor, Digest.of(stream.getvalue()), "environment", "numpy 2.4.6")


def test_a_damaged_layer_leaves_the_store_when_it_cannot_be_unpacked(context, layer):
    try:
        context.sandbox((), "unshare")
    except VerifyError as error:
        pytest.skip(f"unshare does not work here: {error}")
    damage(context.store.path(layer.descriptor.digest))
    with pytest.raises(IntegrityError, match=r"numpy 2\.4\.6: .*\n  fix: pack it again"):
        context.sandbox((layer,))
    assert context.store.size_bytes(layer.descriptor.digest) is None


def test_a_layer_that_only_lies_about_its_contents_stays(context, layer):
    other = Layer(layer.descriptor, Digest.of(b"another"), layer.kind, layer.title)
    with pytest.raises((IntegrityError, VerifyError)):
        context.sandbox((other,))
    assert context.store.size_bytes(layer.descriptor.digest) is not None


@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive"])
def test_a_damaged_layer_leaves_the_store_when_it_cannot_be_exported(context, layer, form, tmp_path):
    config = Descriptor(CONFIG, documents.write(context.store, b"{}"), 2)
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config.to_json()}
    manifest = canonical.encode({**document, "layers": [layer.descriptor.to_json()]})
    image = Descriptor(MANIFEST, documents.write(context.store, manifest), len(manifest))
    context.store.tag(Reference.parse("iris:1"), image)
    damage(context.store.path(layer.descriptor.digest))
    with pytest.raises(IntegrityError, match="fix: pack it again"):
        shelf.export(context, "iris:1", tmp_path / "out", form, overwrite=False)
    assert not (tmp_path / "out").exists()
    assert set(context.store.digests()) == {config.digest, image.digest}


@pytest.mark.network
def test_packing_again_mends_every_blob_of_a_package(echo, tmp_path):
    home, routine = echo
    folder = shutil.copytree(routine, tmp_path / "echo")
    example = {"inputs": [1, 2], "outputs": [1, 2]}
    # a library with native code
    (folder / "lading.yaml").write_text(json.dumps({"requirements": ["markupsafe"], "example": example}))
    own = home.copy(tmp_path / "home")
    own("rm", "echo:1")
    packed = own.json("pack", folder, "-t", "echo:mend")
    assert packed["report"]["passed"]
    blobs = sorted((own.home / "store/blobs/sha256").iterdir(), key=lambda path: -path.stat().st_size)
    layers = {one["digest"].partition(":")[2] for one in own.json("show", "echo:mend")["bill"]["layers"]}
    damage(next(path for path in blobs if path.name in layers))
    shutil.rmtree(own.home / "cache/unpacked")
    assert "fix: pack it again" in own.fails(5, "verify", "echo:mend")
    assert own.json("pack", folder, "-t", "echo:mend")["digest"] == packed["digest"]
    own("verify", "echo:mend")
    shutil.rmtree(own.home / "cache/layers")
    shutil.rmtree(own.home / "cache/unpacked")
    for path in blobs:
        damage(path)
    assert own.json("pack", folder, "-t", "echo:mend")["digest"] == packed["digest"]
    own("verify", "echo:mend")
    own("export", "echo:mend", tmp_path / "echo.tar")
