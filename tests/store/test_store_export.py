"""What leaves a store: whole, the same every time, and never over something else."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lading.core.descriptor import LAYER_GZIP, LAYER_ZSTD, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, LadingError, RegistryError, SpecError
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.store import LayoutStore, MemoryStore, documents
from lading.store.copy import copy
from lading.store.export import Format, _header, export

FORMATS: tuple[Format, ...] = ("oci", "oci-archive", "docker-archive")
NAME = Reference.parse("iris:1")


def contents(path: Path) -> dict[str, bytes]:
    """Read a folder or an archive alike."""
    if path.is_dir():
        return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}
    with tarfile.open(path) as tar:
        files = [one for one in tar.getmembers() if one.isfile()]
        return {one.name: tar.extractfile(one).read() for one in files}  # type: ignore[union-attr]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_exported_is_an_image_layout(
    store: MemoryStore, author: Any, tmp_path: Path, form: Format
) -> None:
    image = author.image(store, "numpy", "model")
    export(store, image, tmp_path / "out", form, name=NAME)
    files = contents(tmp_path / "out")
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["digest"] == str(image.digest)
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "iris:1"}
    blobs = {path: data for path, data in files.items() if path.startswith("blobs/")}
    assert set(blobs) == {f"blobs/sha256/{part.digest.hex}" for part in documents.walk(store, image)}
    assert all(Digest.of(data).hex == path.rpartition("/")[2] for path, data in blobs.items())
    others = {"manifest.json"} if form == "docker-archive" else set()
    assert set(files) - set(blobs) == {"oci-layout", "index.json"} | others


def test_docker_finds_the_config_the_layers_in_order_and_the_name(
    store: MemoryStore, author: Any, tmp_path: Path
) -> None:
    image = author.image(store, "second", "first", "second")
    export(store, image, tmp_path / "out.tar", "docker-archive", name=Reference.parse("iris"))
    files = contents(tmp_path / "out.tar")
    (entry,) = json.loads(files["manifest.json"])
    assert [files[path] for path in entry["Layers"]] == [b"second", b"first", b"second"]
    assert json.loads(files[entry["Config"]])
    assert entry["RepoTags"] == ["iris:latest"]


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_an_archive_is_the_same_bytes_from_any_store_at_any_time(
    store: MemoryStore, author: Any, tmp_path: Path, form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = LayoutStore(tmp_path / "store")
    for number, one in enumerate((store, other)):
        monkeypatch.setenv("TZ", f"UTC{number:+d}")
        before = os.umask(0o077 if number else 0o022)
        export(one, author.image(one, "numpy", "model"), tmp_path / f"{number}.tar", form, name=NAME)
        os.umask(before)
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()
    with tarfile.open(tmp_path / "0.tar") as tar:
        members = tar.getmembers()
    assert {(one.uid, one.gid, one.uname, one.mtime) for one in members} == {(0, 0, "", 0)}


def test_gnu_tar_reads_an_archive(store: MemoryStore, author: Any, tmp_path: Path) -> None:
    export(store, author.image(store), tmp_path / "out.tar", "oci-archive")
    command = ["tar", "-xf", tmp_path / "out.tar", "-C", tmp_path]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""
    assert (tmp_path / "index.json").is_file()


def test_a_layer_beyond_the_old_limit_of_tar_has_its_size_in_the_header(tmp_path: Path) -> None:
    header = _header("blobs/sha256/00", 9 << 30)
    assert len(header) == 512
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == 9 << 30


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_there_is_kept_unless_it_is_asked_otherwise(
    store: MemoryStore, author: Any, tmp_path: Path, form: Format
) -> None:
    old, new = author.image(store, "old"), author.image(store, "new")
    out = tmp_path / "out"
    export(store, old, out, form)
    before = contents(out)
    with pytest.raises(SpecError, match="is there already"):
        export(store, new, out, form)
    assert contents(out) == before
    export(store, new, out, form, overwrite=True)
    assert f"blobs/sha256/{new.digest.hex}" in contents(out)
    assert f"blobs/sha256/{old.digest.hex}" not in contents(out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_no_layout_is_never_overwritten(store: MemoryStore, author: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("\\documentclass{book}")
    image = author.image(store)
    with pytest.raises(SpecError, match="is not an OCI image layout"):
        export(store, image, tmp_path / "thesis", "oci", overwrite=True)
    with pytest.raises(SpecError, match="is not a file"):
        export(store, image, tmp_path / "thesis", "oci-archive", overwrite=True)
    assert (tmp_path / "thesis" / "thesis.tex").exists()


class Rotten(MemoryStore):
    """A store whose layers were changed behind its back."""

    def open(self, digest: Digest) -> Any:
        stream = super().open(digest)
        if stream.getvalue() == b"numpy":
            stream.getbuffer()[0] ^= 1
        return stream


@pytest.mark.parametrize("form", FORMATS)
def test_a_changed_blob_stops_an_export_and_nothing_remains(
    author: Any, tmp_path: Path, form: Format
) -> None:
    store = Rotten()
    image = author.image(store, "numpy")
    with pytest.raises(IntegrityError):
        export(store, image, tmp_path / "out", form)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_blob_that_is_not_there_stops_an_export_and_what_was_there_remains(
    store: MemoryStore, author: Any, tmp_path: Path, form: Format
) -> None:
    export(store, author.image(store, "old"), tmp_path / "out", form)
    before = contents(tmp_path / "out")
    broken = author.image(store, "numpy")
    store.delete(Digest.of(b"numpy"))
    with pytest.raises(RegistryError, match=str(Digest.of(b"numpy"))):
        export(store, broken, tmp_path / "out", form, overwrite=True)
    assert contents(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_that_is_not_there_is_told_in_plain_words(
    store: MemoryStore, author: Any, tmp_path: Path, form: Format
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match="what was there before is unharmed"):
        export(store, author.image(store), tmp_path / "file" / "out", form)


def test_docker_load_gets_no_layer_that_it_cannot_read(
    store: MemoryStore, author: Any, tmp_path: Path
) -> None:
    image = author.image(store, media_type=LAYER_ZSTD)
    with pytest.raises(SpecError, match="use oci-archive"):
        export(store, image, tmp_path / "out", "docker-archive")
    export(store, image, tmp_path / "out", "oci-archive")


def test_an_index_of_several_platforms_fits_every_format_but_docker_s(
    store: MemoryStore, author: Any, tmp_path: Path
) -> None:
    both = author.index(store, author.image(store, "one"), author.image(store, "two"))
    export(store, both, tmp_path / "oci", "oci")
    export(store, both, tmp_path / "oci.tar", "oci-archive")
    with pytest.raises(SpecError, match="holds 2 platforms"):
        export(store, both, tmp_path / "docker.tar", "docker-archive")
    export(store, author.index(store, author.image(store)), tmp_path / "docker.tar", "docker-archive")


def test_an_unknown_format_is_refused(store: MemoryStore, author: Any, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="got 'zip', expected oci or oci-archive or docker-archive"):
        export(store, author.image(store), tmp_path / "out", "zip")  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMATS)
def test_progress_reaches_the_size_of_the_image(
    store: MemoryStore, author: Any, tmp_path: Path, form: Format
) -> None:
    events: list[Event] = []
    image = author.image(store, "numpy" * 1_000_000, "model")
    export(store, image, tmp_path / "out", form, events=events.append)
    size_bytes = sum(part.size_bytes for part in documents.walk(store, image))
    assert {(one.stage, one.kind, one.total) for one in events} == {("export", "progress", size_bytes)}
    assert [one.done for one in events] == sorted(one.done for one in events)
    assert events[-1].done == size_bytes
    assert len(events) > 6


def test_a_copy_brings_everything_and_skips_what_is_there(store: MemoryStore, author: Any) -> None:
    there = MemoryStore()
    image = author.image(store, "numpy", "model")
    index = author.index(store, image)
    author.blob(there, b"numpy")
    written: list[Digest] = []
    keep = there.keep
    there.keep = lambda data: written.append(Digest.of(data)) or keep(data)  # type: ignore[method-assign,func-returns-value]
    copy(store, index, there)
    there.tag(NAME, index)
    assert Digest.of(b"numpy") not in written
    assert set(written) == {part.digest for part in documents.walk(store, index)} - {Digest.of(b"numpy")}
    assert written[-2:] == [image.digest, index.digest]
    copy(store, index, there)
    assert len(written) == 4


@pytest.mark.parametrize("size_bytes", [0, 4, 6, 1 << 40])
def test_a_blob_of_another_size_than_it_says_is_not_copied(
    store: MemoryStore, author: Any, size_bytes: int
) -> None:
    there = MemoryStore()
    author.blob(store, b"numpy")
    lie = Descriptor(LAYER_GZIP, Digest.of(b"numpy"), size_bytes)
    with pytest.raises(LadingError):
        copy(store, lie, there)
    assert list(there.digests()) == []
