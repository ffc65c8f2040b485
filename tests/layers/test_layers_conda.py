from __future__ import annotations

import dataclasses
import gzip
import io
import json
import random
import tarfile
from pathlib import Path

import pytest

from channels import PLACEHOLDER, Channel, distribution
from lading.core.digest import Digest
from lading.core.errors import IntegrityError
from lading.core.lock import CondaFacts, LockedConda
from lading.layers import conda
from lading.layers.conda import Target
from lading.layers.tar import LayerWriter

TARGET = Target("opt/lading/conda", "3.11")
P = "opt/lading/conda"


class Blob(bytearray):
    """A blob in memory."""

    def write(self, data):
        self += data
        return len(data)

    def commit(self):
        return Digest.of(bytes(self))


@pytest.fixture
def channel(tmp_path):
    return Channel(tmp_path / "channel")


def locked(path) -> LockedConda:
    name, version, build = path.name.removesuffix(".conda").removesuffix(".tar.bz2").rsplit("-", 2)
    data = path.read_bytes()
    return LockedConda(name, version, build, path.as_uri(), Digest.of(data), len(data))


def sealed(*paths) -> bytes:
    blob = Blob()
    writer = LayerWriter(blob)
    conda.write([(locked(path), path) for path in paths], TARGET, writer)
    writer.finish()
    return gzip.decompress(bytes(blob))


def laid_out(*paths) -> dict[str, tuple[str | bytes, int]]:
    """Return contents (or a link's target) and mode by path."""
    with tarfile.open(fileobj=io.BytesIO(sealed(*paths))) as archive:
        return {
            one.name: (one.linkname if one.issym() else archive.extractfile(one).read(), one.mode)
            for one in archive
            if not one.isdir()
        }


@pytest.mark.parametrize("form", [".conda", ".tar.bz2"])
def test_the_prefix_is_put_in_texts_and_in_executables(channel, form):
    where = PLACEHOLDER.encode()
    binary = b"\x7fELF" + where + b"/lib/x\0after\0" + where + b"\0" + where + b"/a:" + where + b"/b\0end"
    files = {"bin/tool": b"#!" + where + b"/bin/python\nx", "lib/libx.so": binary}
    found = laid_out(channel.package("x", "1.0", files, form=form))
    assert found[f"{P}/bin/tool"] == (b"#!/opt/lading/conda/bin/python\nx", 0o755)
    data, mode = found[f"{P}/lib/libx.so"]
    assert (len(data), mode) == (len(binary), 0o755)
    assert where not in data
    assert data.startswith(b"\x7fELF/opt/lading/conda/lib/x\0\0")
    strings = [one for one in data.split(b"\0") if one]
    assert strings[1:] == [b"after", b"/opt/lading/conda", b"/opt/lading/conda/a:/opt/lading/conda/b", b"end"]


def test_what_is_for_any_python_goes_where_the_python_looks(channel):
    files = {**distribution("greet", "2.0"), "python-scripts/hi": b"#!/usr/bin/env python\n"}
    path = channel.package("greet", "2.0", files, noarch="python", entry_points=["greet = greet:main.run"])
    found = laid_out(path)
    assert found[f"{P}/lib/python3.11/site-packages/greet.py"] == (b"VERSION = '2.0'\n", 0o644)
    assert found[f"{P}/bin/hi"][1] == 0o755
    script, mode = found[f"{P}/bin/greet"]
    assert script.startswith(b"#!/opt/lading/conda/bin/python3.11\n")
    assert b"sys.exit(main.run())" in script
    assert mode == 0o755


def test_scripts_byte_code_and_manuals_stay_behind_and_conda_s_record_is_made(channel):
    files = {
        "bin/.x-post-link.sh": b"#!/bin/sh\n",
        "lib/python3.11/__pycache__/os.cpython-311.pyc": b"old",
        "share/man/man1/x.1": b"x",
        "lib/libx.a": b"x",
        "lib/libx.so": b"\x7fELF",
    }
    path = channel.package("x", "1.0", files, depends=["y >=1"])
    found = laid_out(path)
    assert set(found) == {f"{P}/lib/libx.so", f"{P}/conda-meta/x-1.0-0.json"}
    record = json.loads(found[f"{P}/conda-meta/x-1.0-0.json"][0])
    assert (record["name"], record["sha256"]) == ("x", Digest.of(path.read_bytes()).hex)
    assert str(path) not in json.dumps(record)


def test_a_package_tells_its_distributions_and_the_scripts_that_are_not_run(channel):
    files = {
        **distribution("my-lib", "1.5", "lib/python3.11/site-packages"),
        "lib/python3.11/site-packages/old-0.3-py3.11.egg-info": b"",
        "lib/python3.11/site-packages/setuptools/_vendor/wheel-1.dist-info/METADATA": b"",
        "bin/.x-post-link.sh": b"#!/bin/sh\n",
        "etc/conda/activate.d/x.sh": b"export X=1\n",
    }
    for form in (".conda", ".tar.bz2"):
        assert conda.facts(channel.package("x", "1.0", files, form=form)) == CondaFacts(
            ("my-lib==1.5", "old==0.3"), ("bin/.x-post-link.sh", "etc/conda/activate.d/x.sh")
        )


def test_links_are_kept_and_the_later_package_has_a_contested_path(channel):
    one = channel.package(
        "a", "1", {"lib/x": b"a", "lib/libx.so": Path("libx.so.1"), "lib/libx.so.1": b"\x7fELF"}
    )
    two = channel.package("b", "1", {"lib/x": b"b"})
    found = laid_out(one, two)
    assert found[f"{P}/lib/libx.so"][0] == "libx.so.1"
    assert found[f"{P}/lib/x"][0] == b"b"


def test_equal_packages_give_equal_bytes(channel, tmp_path):
    files = {"bin/tool": b"#!" + PLACEHOLDER.encode(), "lib/a": b"a"}
    path = channel.package("x", "1.0", files)
    elsewhere = Channel(tmp_path / "elsewhere")
    assert sealed(path) == sealed(elsewhere.package("x", "1.0", files))


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "lib/.wh.x"])
def test_a_path_that_escapes_is_refused(channel, path):
    with pytest.raises(IntegrityError):
        laid_out(channel.package("x", "1.0", {path: b"x"}))


def test_a_prefix_that_has_no_room_is_refused(channel, monkeypatch):
    monkeypatch.setattr("channels.PLACEHOLDER", "/short")
    with pytest.raises(IntegrityError, match="has room for a prefix of 6 bytes"):
        laid_out(channel.package("x", "1.0", {"lib/x.so": b"\x7fELF/short/lib\0"}))


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"BZh9 not", b"x" * 100])
def test_a_file_that_is_no_package_is_an_integrity_error(tmp_path, data):
    path = tmp_path / "x-1.0-0.conda"
    path.write_bytes(data)
    for reads in (conda.facts, laid_out):
        with pytest.raises(IntegrityError, match=r"conda package"):
            reads(path)


def test_a_damaged_package_is_an_integrity_error(channel):
    path = channel.package("x", "1.0", {"lib/x": bytes(5000)}, form=".tar.bz2")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(IntegrityError):
        laid_out(path)
    path = channel.package("x", "1.0", {"lib/x": random.Random(0).randbytes(50_000)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError):
        laid_out(path)


def test_a_locked_package_is_named_by_its_url():
    one = LockedConda("x", "1", "0", "https://h/linux-64/x-1%2Bcpu-0.conda", Digest.of(b""), 0)
    assert dataclasses.replace(one).filename == "x-1+cpu-0.conda"
