"""What is true of the layout folder alone: crashes, other processes, other tools, disks that refuse."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lading.core import canonical
from lading.core.descriptor import CONFIG, LAYER_GZIP, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError
from lading.core.reference import Reference
from lading.store import LayoutStore, documents

WRITER = """
import random, sys
from pathlib import Path
from lading.core import canonical
from lading.core.descriptor import CONFIG, LAYER_GZIP, MANIFEST, Descriptor
from lading.core.reference import Reference
from lading.store import LayoutStore, documents

store, seed, turns = LayoutStore(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
print("writing", flush=True)

def put(data, media_type):
    return Descriptor(media_type, documents.write(store, data), len(data))

for turn in range(turns):
    layers = [put(chance.randbytes(chance.randrange(300_000)), LAYER_GZIP) for _ in range(2)]
    config = put(b'{"turn":%d}' % turn, CONFIG)
    manifest = canonical.encode({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": config.to_json(), "layers": [one.to_json() for one in layers],
    })
    store.tag(Reference.parse(f"iris:{seed}-{turn}"), put(manifest, MANIFEST))
"""


def start_writer(folder: Path, seed: int, turns: int = 1_000_000) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(folder), str(seed), str(turns)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def put(store: LayoutStore, data: bytes, media_type: str = LAYER_GZIP) -> Descriptor:
    return Descriptor(media_type, documents.write(store, data), len(data))


def put_image(store: LayoutStore, text: str = "layer") -> Descriptor:
    config, layer = put(store, b'{"a":1}', CONFIG), put(store, text.encode())
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config.to_json()}
    return put(store, canonical.encode({**document, "layers": [layer.to_json()]}), MANIFEST)


def assert_sound(store: LayoutStore) -> int:
    """Check every blob against its name and every name against its blobs; return how many names there are."""
    for digest in store.digests():
        with store.open(digest) as stream:
            assert Digest.of_stream(stream) == digest
    tags = list(store.tags())
    for _, descriptor in tags:
        for part in documents.walk(store, descriptor):
            assert store.size_bytes(part.digest) == part.size_bytes
    return len(tags)


def test_a_killed_writer_leaves_every_blob_and_the_index_sound(tmp_path: Path) -> None:
    chance = random.Random(20)
    folder = tmp_path / "layout"
    for turn in range(15):
        writers = [start_writer(folder, 2 * turn + number) for number in range(2)]
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        time.sleep(chance.random() * 0.1)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
        assert_sound(LayoutStore(folder))
    assert assert_sound(LayoutStore(folder)) > 15


def test_processes_that_name_at_once_lose_no_name(tmp_path: Path) -> None:
    folder = tmp_path / "layout"
    writers = [start_writer(folder, seed, turns=8) for seed in range(4)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert assert_sound(LayoutStore(folder)) == 32
    assert list((folder / ".ingest").iterdir()) == []


def test_nothing_is_made_until_something_is_written(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    assert list(store.tags()) == []
    assert list(store.digests()) == []
    assert not store.folder.exists()


def test_the_folder_is_an_image_layout(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    store.tag(Reference.parse("iris:1"), put_image(store))
    assert json.loads((store.folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((store.folder / "index.json").read_bytes())
    assert index["schemaVersion"] == 2
    assert index["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": "iris:1"}


def test_everybody_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        store = LayoutStore(tmp_path / "layout")
        store.tag(Reference.parse("iris:1"), put_image(store))
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in store.folder.glob("blobs/*/*")}
    assert modes == {0o644}
    assert (store.folder / "blobs" / "sha256").stat().st_mode & 0o777 == 0o755


def test_two_stores_on_one_folder_see_each_others_names(tmp_path: Path) -> None:
    one, other = LayoutStore(tmp_path / "layout"), LayoutStore(tmp_path / "layout")
    image = put_image(one)
    for number in range(3):
        one.tag(Reference.parse(f"iris:{number}"), image)
        assert other.resolve(Reference.parse(f"iris:{number}")) == image


def test_naming_what_has_that_name_already_writes_nothing(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    image = put_image(store)
    store.tag(Reference.parse("iris:1"), image)
    before = (store.folder / "index.json").stat()
    store.tag(Reference.parse("iris:1"), image)
    assert (store.folder / "index.json").stat().st_ino == before.st_ino


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "no OCI image index"),
        ('{"schemaVersion": 2, "layers": []}', "no OCI image index"),
        ('{"schemaVersion": 2, "mediaType": "text/plain", "manifests": []}', "no OCI image index"),
        ('{"schemaVersion": 2, "manifests": [7]}', "expected mediaType, digest and size"),
        ('{"schemaVersion": 2, "manifests": [{"mediaType": "a", "digest": "b", "size": 1}]}', "sha256"),
    ],
)
def test_a_corrupt_or_foreign_index_is_refused_and_left_as_it_is(
    tmp_path: Path, text: str, complaint: str
) -> None:
    store = LayoutStore(tmp_path / "layout")
    image = put_image(store)
    store.tag(Reference.parse("iris:1"), image)
    path = store.folder / "index.json"
    path.write_text(text)
    with pytest.raises(IntegrityError, match=complaint) as caught:
        store.resolve(Reference.parse("iris:1"))
    assert caught.value.issues[0].where == str(path)
    with pytest.raises(IntegrityError):
        store.tag(Reference.parse("iris:2"), image)
    assert path.read_text() == text


def test_a_missing_index_is_told_from_an_empty_store(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    put(store, b"numpy")
    (store.folder / "index.json").unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        list(LayoutStore(store.folder).tags())


def test_another_version_of_the_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(IntegrityError, match=r"expected imageLayoutVersion 1\.0\.0"):
        put(LayoutStore(tmp_path), b"numpy")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("\\documentclass{book}")
    with pytest.raises(IntegrityError, match=r"holds 'thesis\.tex'"):
        put(LayoutStore(tmp_path), b"numpy")
    with pytest.raises(IntegrityError, match=r"holds 'thesis\.tex'"):
        list(LayoutStore(tmp_path).tags())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_other_tools_wrote_is_kept_and_what_is_no_name_is_not_listed(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    image = put_image(store)
    foreign = {**image.to_json(), "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}
    unnamed = {**foreign, "annotations": {"org.opencontainers.image.ref.name": "Not A Name"}}
    index = {"schemaVersion": 2, "manifests": [unnamed]}
    (store.folder / "index.json").write_text(json.dumps(index))
    store.tag(Reference.parse("iris:1"), image)
    assert [str(reference) for reference, _ in store.tags()] == ["iris:1"]
    assert unnamed in json.loads((store.folder / "index.json").read_bytes())["manifests"]


def test_a_blob_of_the_wrong_length_is_mended_by_writing_it_again(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    digest = put(store, b"numpy").digest
    store.path(digest).write_bytes(b"num")
    put(store, b"numpy")
    assert store.path(digest).read_bytes() == b"numpy"


def test_a_blob_damaged_at_unchanged_length_is_mended_by_writing_it_again(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    digest = put(store, b"numpy").digest
    store.path(digest).write_bytes(b"bumpy")
    assert not store.is_sound(digest)
    put(store, b"numpy")
    assert store.is_sound(digest)
    assert store.path(digest).read_bytes() == b"numpy"


def test_a_blob_that_is_sound_is_not_written_again(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    digest = put(store, b"numpy").digest
    before = store.path(digest).stat().st_ino
    put(store, b"numpy")
    assert store.path(digest).stat().st_ino == before


def test_a_changed_manifest_is_not_believed(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    image = put_image(store)
    path = store.path(image.digest)
    path.write_bytes(path.read_bytes().replace(b"layers", b"slayer"))
    with pytest.raises(IntegrityError, match="the bytes were changed"):
        store.tag(Reference.parse("iris:1"), image)


def test_asking_for_a_blob_keeps_it_young(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    for digest in (put(store, b"numpy").digest, put(store, b"scipy").digest):
        os.utime(store.path(digest), (0, 0))
    store.size_bytes(Digest.of(b"numpy"))
    assert store.age_s(Digest.of(b"numpy")) < 60
    assert store.age_s(Digest.of(b"scipy")) > 1e9
    put(store, b"scipy")
    assert store.age_s(Digest.of(b"scipy")) < 60


def test_only_what_a_dead_writer_left_is_swept(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "layout")
    put(store, b"numpy")
    ingest = store.folder / ".ingest"
    old, killed, begun = ingest / "1-old", ingest / "2-killed", ingest / "3-begun"
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    killed.write_bytes(b"almost")
    begun.touch()  # its writer has not got round to locking it
    with store.create() as blob:
        blob.write(b"alive")
        for path in set(ingest.iterdir()) - {old, killed, begun}:
            os.utime(path, (0, 0))
        assert store.sweep(older_than_s=3600, dry_run=True) == {"1-old": 4}
        assert store.sweep(older_than_s=0, dry_run=True) == {"1-old": 4, "2-killed": 6}
        assert store.sweep(older_than_s=0, dry_run=False) == {"1-old": 4, "2-killed": 6}
        assert not old.exists()
        assert not killed.exists()
        assert begun.exists()
        blob.commit()
    assert store.size_bytes(Digest.of(b"alive")) == 5


def run_writer(folder: Path, size_bytes: int, before: Callable[[], None]) -> str:
    code = (
        "import sys; from pathlib import Path; from lading.store import LayoutStore, documents\n"
        "from lading.core.errors import RegistryError\n"
        "try: documents.write(LayoutStore(Path(sys.argv[1])), bytes(int(sys.argv[2])))\n"
        "except RegistryError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(folder), str(size_bytes)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=before).stdout


@pytest.mark.parametrize("size_bytes", [200_000, 5_000_000])
def test_a_disk_that_takes_no_more_is_told_in_plain_words(tmp_path: Path, size_bytes: int) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    said = run_writer(tmp_path / "layout", size_bytes, before=limit)
    assert "what was there before is unharmed" in said
    assert "lading gc --cache --older-than-s 0" in said
    store = LayoutStore(tmp_path / "layout")
    assert list(store.digests()) == []
    assert list((store.folder / ".ingest").iterdir()) == []


@pytest.fixture
def ordinary_user(tmp_path: Path) -> Iterator[None]:
    """Root is refused nothing, so become somebody else for a while."""
    (tmp_path / "locked").mkdir(mode=0)
    tmp_path.chmod(0o555)
    for parent in (tmp_path.parent, tmp_path.parent.parent) if os.geteuid() == 0 else ():
        parent.chmod(0o755)
    before = os.geteuid()
    os.seteuid(before or 65534)
    yield
    os.seteuid(before)
    for folder in (tmp_path, tmp_path / "locked"):
        folder.chmod(0o755)


def test_a_folder_that_may_not_be_written_is_told_in_plain_words(tmp_path: Path, ordinary_user: None) -> None:
    store = LayoutStore(tmp_path / "layout")
    with pytest.raises(RegistryError, match="what was there before is unharmed") as caught:
        put(store, b"numpy")
    assert "LADING_HOME" in (caught.value.issues[0].fix or "")


def test_a_folder_that_may_not_be_read_is_told_in_plain_words(tmp_path: Path, ordinary_user: None) -> None:
    store = LayoutStore(tmp_path / "locked" / "layout")
    with pytest.raises(RegistryError, match="cannot be read: Permission denied"):
        list(store.tags())
    with pytest.raises(RegistryError, match="cannot be read: Permission denied"):
        store.size_bytes(Digest.of(b"numpy"))


@pytest.mark.parametrize("folder", ["/proc/lading", "/dev/null/lading"])
def test_a_folder_that_cannot_be_is_told_in_plain_words(folder: str) -> None:
    with pytest.raises(
        RegistryError, match=r"what was there before is unharmed.*\n  fix: choose another folder"
    ):
        put(LayoutStore(Path(folder)), b"numpy")
