"""How two layers that should be the same are told apart."""

import gzip
import io
import tarfile

import pytest

from lading.core.descriptor import LAYER_GZIP, LAYER_TAR, Descriptor
from lading.core.digest import Digest
from lading.core.image import Layer
from lading.pipeline.alike import _apart, _inside
from sealing import Blobs


def tar(**files):
    """Write files; each is its contents, or contents and attributes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, (data, attributes) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for key, value in attributes.items():
                setattr(entry, key, value)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def seal(blobs, data, level=6, media_type=LAYER_GZIP):
    # of several members, as layers are
    blob = gzip.compress(data[:700], level, mtime=0) + gzip.compress(data[700:], level, mtime=0)
    return Layer(Descriptor(media_type, blobs.put(blob), len(blob)), Digest.of(data), "base", "layer")


ONE = tar(a=(b"1" * 5000, {}), b=(b"2", {}))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (tar(a=(b"1" * 5000, {})), ["b is missing"]),
        (tar(a=(b"1" * 5000, {}), b=(b"2", {}), c=(b"", {})), ["c is new"]),
        (tar(a=(b"1" * 5000, {}), b=(b"3", {})), ["b has another contents"]),
        (tar(a=(b"1" * 5000, {"mode": 0o755}), b=(b"2", {"mtime": 7})),
         ["a has another mode", "b has another time"]),
        (tar(a=(b"1" * 5000, {"uid": 5}), b=(b"2", {})), ["a has another owner"]),
        (tar(b=(b"2", {}), a=(b"1" * 5000, {})), ["its files come in another order"]),
    ],
)  # fmt: skip
def test_what_differs_in_a_layer_is_named(other, told):
    blobs = Blobs()
    assert list(_inside(seal(blobs, ONE), blobs, seal(blobs, other), blobs)) == told


def test_the_same_files_compressed_otherwise_are_told_apart_from_other_files():
    blobs = Blobs()
    one, other = seal(blobs, ONE), seal(blobs, ONE, level=0)
    assert one.descriptor.digest != other.descriptor.digest
    assert "compressed otherwise" in next(_inside(one, blobs, other, blobs))


def test_the_same_bytes_that_claim_to_be_something_else_are_told_as_such():
    blobs = Blobs()
    one, other = seal(blobs, ONE, media_type=LAYER_TAR), seal(blobs, ONE)
    assert _apart(one, blobs, other, blobs) == (
        f"the same bytes, described otherwise: mediaType: got {LAYER_GZIP!r}, expected {LAYER_TAR!r}"
    )
    compressed = seal(blobs, ONE, level=0)
    told = _apart(one, blobs, compressed, blobs)
    assert told.startswith(f"got {compressed.descriptor.digest}, expected {one.descriptor.digest}: ")
