from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lading.core.descriptor import CONFIG, LAYER_ZSTD, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError, SpecError
from lading.core.lock import Interpreter, LockedBase, LockedDeb, LockedWheel, PlatformLock
from lading.core.model import ModelFile
from lading.core.platform import Libc, Platform
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.layers import Cargo, FileDigests, FolderCache, assemble
from lading.layers.overlap import Overlap
from lading.layers.recipes import LAYERS_MAX, recipes
from lading.store import LayoutStore

SITE = "opt/lading/env/lib/python3.11/site-packages"


def make_deb(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    def archive(entries: dict[str, bytes]) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for path, data in entries.items():
                info = tarfile.TarInfo(f"./{path}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return file.getvalue()

    control = f"Package: {name}\nVersion: 1\nArchitecture: amd64\n".encode()
    members = {"debian-binary": b"2.0\n", "control.tar.gz": archive({"control": control})}
    members["data.tar.gz"] = archive(files)
    body = b"!<arch>\n"
    for member, data in members.items():
        body += f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}".encode() + b"`\n"
        body += data + b"\n" * (len(data) % 2)
    (folder / f"{name}.deb").write_bytes(body)
    return folder / f"{name}.deb"


@dataclass
class Shop:
    """Packages in a folder, handed out by digest as a downloader would."""

    folder: Path
    fetched: list[str] = field(default_factory=list)

    def keep(self, path: Path) -> Path:
        """File a package under its digest: what is fetched has no name of its own."""
        return shutil.copy(path, self.folder / hashlib.sha256(path.read_bytes()).hexdigest())

    def wheel(self, path: Path) -> LockedWheel:
        name, version = path.name.split("-")[:2]
        data = self.keep(path).read_bytes()
        url = f"https://index.example/{path.name}"
        return LockedWheel(name, version, path.name, url, Digest.of(data), len(data))

    def deb(self, name: str, files: dict[str, bytes]) -> LockedDeb:
        path = self.keep(make_deb(self.folder, name, files))
        data = path.read_bytes()
        return LockedDeb(name, "1", "amd64", f"pool/{name}.deb", Digest.of(data), len(data))

    def file(self, url: str, digest: Digest, size_bytes: int | None = None) -> Path:
        self.fetched.append(url)
        path = self.folder / digest.hex
        if not path.exists():
            raise RegistryError
        assert path.stat().st_size == size_bytes
        return path

    def fetch_deb(self, deb: LockedDeb) -> Path:
        return self.file(deb.filename, deb.digest, deb.size_bytes)


@pytest.fixture
def shop(tmp_path) -> Shop:
    (tmp_path / "shop").mkdir()
    return Shop(tmp_path / "shop")


@pytest.fixture
def cargo(shop, make_wheel, tmp_path) -> Cargo:
    base = LockedBase(
        "debian:bookworm",
        "bookworm",
        (
            shop.deb("ca-certificates", {"usr/share/ca-certificates/a.crt": b"-----\n"}),
            shop.deb("python3.11-minimal", {"usr/bin/python3.11": b"elf"}),
        ),
        Libc("glibc", 2, 36),
    )
    names = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    wheels = [shop.wheel(make_wheel({f"{n}.py": n.encode() * 50 * i}, name=n)) for i, n in enumerate(names)]
    server = [shop.wheel(make_wheel({f"{n}.py": b""}, name=n)) for n in ("uvicorn", "click")]
    interpreter = Interpreter("/usr/bin/python3.11", "3.11.2")
    lock = PlatformLock(Platform("linux", "amd64"), base, interpreter, tuple(wheels), tuple(server))
    for path in ("model/model.pkl", "model/MLmodel", "code/score.py", "words/en.txt", "table.csv"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    model = tuple(ModelFile(n, tmp_path / "model" / n, 9) for n in ("model.pkl", "MLmodel"))
    assets = (tmp_path / "words", tmp_path / "table.csv")
    return Cargo(
        lock, "lading", model=model, code=tmp_path / "code", assets=assets, examples=(b'{"inputs":[]}',)
    )


@dataclass
class Yard:
    """A store, a cache and what is needed to assemble into them."""

    root: Path
    shop: Shop
    events: list[Event] = field(default_factory=list)

    def __post_init__(self):
        self.store = LayoutStore(self.root / "store")
        with self.store.create():
            pass

    def assemble(self, cargo: Cargo, **options):
        self.shop.fetched.clear()
        self.events.clear()
        return assemble(
            cargo,
            fetch=self.shop,
            fetch_deb=self.shop.fetch_deb,
            store=self.store,
            cache=FolderCache(self.root / "cache", self.store),
            digests=FileDigests(self.root / "digests"),
            events=self.events.append,
            **options,
        )

    def entries(self, layer) -> dict[str, tarfile.TarInfo]:
        with self.store.open(layer.descriptor.digest) as stream, tarfile.open(fileobj=stream) as archive:
            return {member.name: member for member in archive}


@pytest.fixture
def yard(tmp_path, shop) -> Yard:
    return Yard(tmp_path / "yard", shop)


def test_an_image_holds_every_part_in_its_place(yard, cargo):
    layers = yard.assemble(cargo).layers
    found: dict[str, tarfile.TarInfo] = {}
    for layer in layers:
        for path, member in yard.entries(layer).items():
            assert member.isdir() or path not in found, f"{path} is in two layers"
            found[path] = member
    assert {
        "usr/bin/python3.11",
        "etc/ssl/certs/ca-certificates.crt",
        "var/lib/dpkg/status",
        f"{SITE}/theta.py",
        "opt/lading/server/lib/python3.11/site-packages/uvicorn.py",
        "opt/lading/server/lib/python3.11/site-packages/lading_runtime/__init__.py",
        "opt/lading/model/model.pkl",
        "opt/lading/code/score.py",
        "opt/lading/assets/words/en.txt",
        "opt/lading/assets/table.csv",
        "opt/lading/examples/0.json",
        "opt/lading/env/pyvenv.cfg",
    } <= set(found)
    assert found["models"].linkname == "/opt/lading/model"
    assert found["opt/lading/env/bin/python"].linkname == "/usr/bin/python3.11"
    assert found["opt/lading/server/bin/python3.11"].linkname == "python"
    kinds = [layer.kind for layer in layers]
    assert sorted(set(kinds), key=kinds.index) == ["base", "environment", "server", "code", "assets", "model"]


def test_layers_are_what_they_say(yard, cargo):
    for layer in yard.assemble(cargo).layers:
        with yard.store.open(layer.descriptor.digest) as stream:
            blob = stream.read()
        assert (Digest.of(blob), len(blob)) == (layer.descriptor.digest, layer.descriptor.size_bytes)
        assert Digest.of(gzip.decompress(blob)) == layer.diff_id


def test_the_same_cargo_gives_the_same_layers_anywhere(yard, cargo, tmp_path, shop):
    other = Yard(tmp_path / "elsewhere", shop)
    assert yard.assemble(cargo, workers=1) == other.assemble(cargo, workers=7)


def test_the_order_of_a_lock_does_not_matter(yard, cargo, tmp_path, shop):
    lock = cargo.lock
    base = replace(lock.base, packages=lock.base.packages[::-1])
    turned = replace(lock, base=base, model=lock.model[::-1], server=lock.server[::-1])
    one = yard.assemble(cargo)
    again = yard.assemble(replace(cargo, lock=turned, model=cargo.model[::-1]))
    assert again.layers == one.layers
    assert again.cached == len(again.layers)


def test_nothing_is_fetched_or_written_the_second_time(yard, cargo):
    first = yard.assemble(cargo)
    assert first.cached == 0
    blobs = set(yard.store.digests())
    second = yard.assemble(cargo)
    assert (second.layers, second.cached) == (first.layers, len(first.layers))
    assert yard.shop.fetched == []
    assert set(yard.store.digests()) == blobs


def test_a_slim_cargo_has_layers_of_its_own_where_wheels_are_and_nothing_is_fetched_to_count(
    yard, cargo, shop, make_wheel
):
    files = {"tested/__init__.py": b"", "tested/tests/test_it.py": b"1" * 99}
    tested = shop.wheel(make_wheel(files, name="tested"))
    cargo = replace(cargo, lock=replace(cargo.lock, model=(*cargo.lock.model, tested)))
    whole, slim = yard.assemble(cargo), yard.assemble(replace(cargo, slim=True))
    assert whole.slimmed is None
    assert [(one.name, one.kind, one.files, one.size_bytes) for one in slim.slimmed] == [
        ("tested", "tests", 1, 99)
    ]
    apart = {layer.title for layer in whole.layers if layer not in slim.layers}
    assert {layer.kind for layer in slim.layers if layer not in whole.layers} == {"environment"}
    assert len(apart) == 1
    again = yard.assemble(replace(cargo, slim=True))
    assert (again.layers, again.slimmed, yard.shop.fetched) == (slim.layers, slim.slimmed, [])


def test_a_changed_model_changes_its_layer_alone(yard, cargo, tmp_path):
    first = yard.assemble(cargo)
    (tmp_path / "model/model.pkl").write_text("another")
    second = yard.assemble(cargo)
    assert second.cached == len(second.layers) - 1
    changed = [layer.kind for layer in second.layers if layer not in first.layers]
    assert changed == ["model"]


def test_a_layer_whose_blob_is_gone_is_made_again(yard, cargo):
    first = yard.assemble(cargo)
    yard.store.delete(first.layers[3].descriptor.digest)
    second = yard.assemble(cargo)
    assert (second.layers, second.cached) == (first.layers, len(first.layers) - 1)


def test_one_more_package_changes_one_group_and_the_skeletons_key(yard, cargo, make_wheel):
    first = yard.assemble(cargo)
    more = yard.shop.wheel(make_wheel({"iota.py": b""}, name="iota"))
    lock = replace(cargo.lock, model=(*cargo.lock.model, more))
    second = yard.assemble(replace(cargo, lock=lock))
    assert len([layer for layer in second.layers if layer not in first.layers]) == 1
    assert len(second.layers) - second.cached == 2


def test_progress_reaches_the_number_of_layers(yard, cargo):
    layers = yard.assemble(cargo).layers
    steps = [(event.done, event.total) for event in yard.events if event.unit == "layers"]
    assert steps == [(done, len(layers)) for done in range(len(layers) + 1)]


def test_another_server_brings_no_environment_of_its_own(yard, cargo):
    layers = yard.assemble(replace(cargo, server="mlflow")).layers
    paths = {path for layer in layers for path in yard.entries(layer)}
    assert not any(path.startswith("opt/lading/server") for path in paths)


def test_zstd_layers_have_the_same_diff_ids(yard, cargo):
    pytest.importorskip("backports.zstd")
    plain = yard.assemble(cargo)
    packed = yard.assemble(cargo, compression="zstd")
    assert packed.cached == 0
    assert [layer.diff_id for layer in packed.layers] == [layer.diff_id for layer in plain.layers]
    assert {layer.descriptor.media_type for layer in packed.layers} == {LAYER_ZSTD}


@pytest.fixture
def overlapping(shop, cargo, make_wheel) -> Cargo:
    """Two wheels that ship the same files, one of them with other contents."""
    files = {"LICENSE": b"theirs", "same.py": b"="}
    more = [shop.wheel(make_wheel({**files, "LICENSE": name.encode()}, name=name)) for name in ("ant", "bee")]
    return replace(cargo, lock=replace(cargo.lock, model=(*cargo.lock.model, *more)))


def test_a_path_that_two_wheels_hold_with_other_contents_is_in_one_layer(yard, overlapping):
    assembled = yard.assemble(overlapping)
    holding = [layer for layer in assembled.layers if f"{SITE}/LICENSE" in yard.entries(layer)]
    assert len(holding) == 1
    with yard.store.open(holding[0].descriptor.digest) as stream, tarfile.open(fileobj=stream) as archive:
        assert archive.extractfile(f"{SITE}/LICENSE").read() == b"ant"
    (warning,) = [event.text for event in yard.events if event.kind == "warning"]
    assert f"'{SITE}/LICENSE' is ant-1.0-py3-none-any.whl's, not bee-1.0-py3-none-any.whl's" in warning


def test_an_overlap_is_found_once_told_each_time_and_the_same_anywhere(yard, overlapping, tmp_path, shop):
    first = yard.assemble(overlapping)
    second = yard.assemble(overlapping)
    assert (second.layers, second.cached) == (first.layers, len(first.layers))
    assert yard.shop.fetched == []
    assert [event.kind for event in yard.events].count("warning") == 1
    model = overlapping.lock.model[::-1]
    turned = replace(overlapping, lock=replace(overlapping.lock, model=model))
    assert Yard(tmp_path / "elsewhere", shop).assemble(turned).layers == first.layers


def test_only_what_leaves_a_file_out_has_a_key_of_its_own(overlapping, tmp_path):
    digests = FileDigests(tmp_path / "digests")
    ant, bee = (f"{name}-1.0-py3-none-any.whl" for name in ("ant", "bee"))
    plain = recipes(overlapping, digests)
    foreseen = recipes(overlapping, digests, [Overlap(f"{SITE}/LICENSE", ant, bee)])
    pairs = zip(plain, foreseen, strict=True)
    assert [one.title for one, two in pairs if one.made_from != two.made_from] == ["environments", "bee 1.0"]


def test_a_file_where_another_wheel_has_a_folder_is_refused_wherever_they_lie(yard, cargo, make_wheel):
    names = ["ant", "bee", "cat", "dog"]
    wheels = [make_wheel({"thing" if n == "ant" else f"thing/{n}.py": b"x"}, name=n) for n in names]
    more = tuple(yard.shop.wheel(path) for path in wheels)
    for model in (more, (*cargo.lock.model, *more)):
        with pytest.raises(IntegrityError, match=r"ant-1\.0.*dog-1\.0"):
            yard.assemble(replace(cargo, lock=replace(cargo.lock, model=model)), workers=1)


def test_a_wheel_that_is_not_sound_is_named_and_leaves_nothing_cached(yard, cargo, make_wheel):
    bad = yard.shop.wheel(make_wheel({"bad.py": b"x"}, name="bad", record={"bad.py": None}))
    lock = replace(cargo.lock, model=(bad,))
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"bad-1\.0-py3-none-any\.whl: bad\.py"):
            yard.assemble(replace(cargo, lock=lock))


def test_a_failed_download_ends_it(yard, cargo):
    gone = replace(cargo.lock.model[0], digest=Digest.of(b"gone"))
    with pytest.raises(RegistryError):
        yard.assemble(replace(cargo, lock=replace(cargo.lock, model=(gone, *cargo.lock.model[1:]))))


def test_assets_of_one_name_are_refused(yard, cargo, tmp_path):
    with pytest.raises(SpecError, match=r"'table\.csv' comes 2 times"):
        yard.assemble(replace(cargo, assets=(*cargo.assets, tmp_path / "model" / ".." / "table.csv")))


def test_an_image_never_has_too_many_layers(cargo, tmp_path):
    wheel, deb = cargo.lock.model[0], cargo.lock.base.packages[0]
    big = tmp_path / "shard"
    with big.open("wb") as file:
        file.truncate(64 << 20)
    lock = replace(
        cargo.lock,
        base=replace(cargo.lock.base, packages=tuple(replace(deb, name=f"deb{i}") for i in range(200))),
        model=tuple(replace(wheel, name=f"wheel{i}") for i in range(300)),
    )
    model = tuple(ModelFile(f"shard-{i:02}", big, 64 << 20) for i in range(40))
    planned = recipes(replace(cargo, lock=lock, model=model), FileDigests(tmp_path / "digests"))
    assert len(planned) + 3 <= LAYERS_MAX
    assert len([one for one in planned if one.kind == "model"]) == 2


def test_umoci_unpacks_the_layers_with_their_links(yard, cargo, tmp_path):
    if not shutil.which("umoci") or not shutil.which("skopeo"):
        pytest.skip("needs umoci and skopeo: apt-get install umoci skopeo")
    layers = yard.assemble(cargo).layers
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
    }
    with yard.store.create() as blob:
        size_bytes = blob.write(json.dumps(config).encode())
        described = Descriptor(CONFIG, blob.commit(), size_bytes)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described.to_json(),
        "layers": [layer.descriptor.to_json() for layer in layers],
    }
    with yard.store.create() as blob:
        size_bytes = blob.write(json.dumps(manifest).encode())
        yard.store.tag(Reference.parse("demo:1"), Descriptor(MANIFEST, blob.commit(), size_bytes))
    (tag,) = json.loads((yard.store.folder / "index.json").read_text())["manifests"]
    name = tag["annotations"]["org.opencontainers.image.ref.name"]
    copied = tmp_path / "copied"
    source = f"oci:{yard.store.folder}:{name}"
    subprocess.run(["skopeo", "copy", "--quiet", source, f"oci:{copied}:one"], check=True)
    command = ["umoci", "unpack", "--rootless", "--image", f"{copied}:one", str(tmp_path / "bundle")]
    subprocess.run(command, check=True, capture_output=True)
    root = tmp_path / "bundle/rootfs"
    assert (root / f"{SITE}/theta.py").read_bytes() == b"theta" * 50 * 7
    assert (root / "models").readlink() == Path("/opt/lading/model")
