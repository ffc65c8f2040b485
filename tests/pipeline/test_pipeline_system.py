"""System packages, really added: to the base that lading makes, and to an image of Debian's own packages."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from debs import Archive, deb, stanza
from lading.core import canonical
from lading.core.descriptor import CONFIG, LAYER_TAR, MANIFEST, Descriptor
from lading.core.lock import PlatformLock
from lading.core.platform import Platform
from lading.core.reference import Reference
from lading.layers import Cargo, assemble
from lading.layers.compress import compressor
from lading.lock import debian
from lading.pipeline.context import Context
from lading.pipeline.running import temporary_folder
from lading.pipeline.shelf import find
from lading.settings import Settings
from lading.store import LayoutStore, documents
from lading.store.copy import chunks
from models import write_iris

pytestmark = pytest.mark.network
TOOLS = ("coreutils", "dash", "dpkg", "grep", "libc-bin", "tar")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_iris(tmp_path_factory.mktemp("iris") / "iris-model")


@pytest.fixture(scope="module")
def context(lading):
    return Context(Settings(Path(lading.home)))


def said_in(context, layers, *argv, status=0):
    """Run a command in a sandbox of layers and return what it says."""
    with temporary_folder() as tmp:
        (tmp / "t").mkdir()
        running = context.sandbox(tuple(layers)).start(
            argv, env={"PATH": "/usr/sbin:/usr/bin"}, tmp=tmp / "t"
        )
        try:
            assert running.wait(120) == status, running.output()
            return running.output(), {path.name: path.read_bytes() for path in (tmp / "t").iterdir()}
        finally:
            running.stop(0)


@pytest.fixture(scope="module")
def below(context):
    """The layers of Debian's packages, dpkg among them, and the cache that ldconfig makes."""
    with context.fetch_debian as fetch:
        base = debian.resolve(
            "bookworm",
            Platform.current().architecture,
            fetch=fetch,
            mirror=context.mirror,
            system_packages=TOOLS,
            cache=context.settings.cache / "debian",
        )
        lock = PlatformLock(Platform.current(), base, debian.interpreter(base), (), ())
        made = assemble(
            Cargo(lock, "none"),
            fetch=fetch,
            fetch_deb=context.deb,
            store=context.store,
            cache=context.layers,
            digests=context.digests,
        )
    layers = [one for one in made.layers if one.kind == "base"]
    _, files = said_in(context, layers, "/usr/sbin/ldconfig", "-X", "-C", "/tmp/ld.so.cache")
    return layers, files["ld.so.cache"]


@pytest.fixture(scope="module")
def image(context, below, tmp_path_factory):
    """An image as debootstrap makes it."""
    return laid_out(context, *below, tmp_path_factory.mktemp("image") / "bookworm", {})


@pytest.fixture(scope="module")
def ubuntu(context, below, tmp_path_factory):
    """The same, calling itself Ubuntu."""
    release = {"etc/os-release": b'ID=ubuntu\nVERSION_CODENAME="noble"\n'}
    return laid_out(context, *below, tmp_path_factory.mktemp("image") / "noble", release)


def laid_out(context, layers, cache, folder, more):
    """Write an image's layout: layers as they are, and one on top of files that tools would have made."""
    store = LayoutStore(folder)
    for layer in layers:
        with store.create() as blob:
            for chunk in chunks(context.store, layer.descriptor):
                blob.write(chunk)
            blob.commit(layer.descriptor.digest)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        files = {"etc/ld.so.cache": cache, "var/lib/dpkg/info/format": b"1\n", **more}
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    top = written(store, tar.getvalue(), LAYER_TAR)
    diff_ids = [*(str(one.diff_id) for one in layers), str(top.digest)]
    config = {
        "architecture": Platform.current().architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/usr/sbin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": written(store, canonical.encode(config), CONFIG).to_json(),
        "layers": [one.to_json() for one in (*(layer.descriptor for layer in layers), top)],
    }
    store.tag(Reference.parse("base:1"), written(store, canonical.encode(manifest), MANIFEST))
    return folder


def written(store, data, media_type):
    return Descriptor(media_type, documents.write(store, data), len(data))


def packed(lading, context, spec, folder, *packages, env=None):
    """Pack the model on a base with system packages; return the package and what the lock says of them."""
    name = spec["name"]
    (folder / "lading.yaml").write_text(json.dumps({**spec, "system_packages": packages}))
    done = lading.run("pack", "-t", f"{name}:1", "--no-verify", cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    document = lading.json("show", f"{name}:1")["bill"]
    names = {one["name"]: one for one in document["environment"]["system_packages"]}
    return find(context, f"{name}:1"), names, done.stderr


def test_what_an_image_lacks_is_added_and_found_by_its_own_tools(lading, context, model, image, tmp_path):
    spec = {"name": "system-image", "model": str(model), "base": f"oci:{image}"}
    wanted = ("libsndfile1", "libgomp1", "dpkg")
    package, names, _ = packed(lading, context, spec, tmp_path, *wanted)
    assert "libsndfile1" in names
    assert not {"libgomp1", "dpkg", "libc6"} & names.keys()  # they are there
    lock = (tmp_path / "lading.lock").read_text()
    assert 'name = "libsndfile1"' in lock
    assert len(package.image.layers) <= 60
    shown = lading("show", "system-image:1")
    assert f" {len(names)} system packages added to the image: " in shown
    asked = f"libsndfile1 {names['libsndfile1']['version']}, libgomp1 (nothing so named added), dpkg"
    assert f"system packages asked for: {asked}" in shown
    program = (
        "import ctypes, ctypes.util as u; ctypes.CDLL('libsndfile.so.1'); print(u.find_library('sndfile'))"
    )
    layers = package.image.layers
    said, _ = said_in(context, layers, "/usr/bin/python3", "-c", program)
    assert said.strip() == "libsndfile.so.1"
    said, _ = said_in(
        context, layers, "/bin/sh", "-c", "dpkg -l libsndfile1 && dpkg -V libsndfile1 && dpkg -L libsndfile1"
    )
    assert "\nii  libsndfile1:" in said
    assert "/libsndfile.so.1\n" in said


def test_ubuntus_packages_are_added_to_its_images(lading, context, model, ubuntu, tmp_path):
    data = deb("hail", {"./usr/share/hail": b"well met"}, suffix=".zst", compress=compressor("zstd"))
    archive = Archive(tmp_path / "ubuntu")
    archive.add("hail", data)
    archive.publish("noble", {"universe": [stanza("hail", depends="libc6 (>= 2.30)", data=data)]})
    env = {"LADING_UBUNTU_MIRROR": archive.folder.as_uri(), "LADING_UBUNTU_KEYRING": str(archive.keyring)}
    spec = {"name": "system-ubuntu", "model": str(model), "base": f"oci:{ubuntu}"}
    package, names, _ = packed(lading, context, spec, tmp_path, "hail", "libgomp1", env=env)
    assert names.keys() == {"hail"}
    assert 'suite = "ubuntu:noble"' in (tmp_path / "lading.lock").read_text()
    layers = package.image.layers
    said, _ = said_in(context, layers, "/bin/sh", "-c", "cat /usr/share/hail; dpkg -S /usr/share/hail")
    assert said.startswith("well met")
    assert "hail: /usr/share/hail\n" in said


def test_an_image_that_has_it_all_gets_nothing(lading, model, image, tmp_path):
    spec = {"model": str(model), "base": f"oci:{image}", "system_packages": ["libgomp1", "dpkg"]}
    (tmp_path / "lading.yaml").write_text(json.dumps(spec))
    (platform,) = json.loads(lading("lock", "--json", cwd=tmp_path))["platforms"]
    assert platform["system"] == []


def test_an_unknown_package_is_named(lading, model, image, tmp_path):
    spec = {"model": str(model), "base": f"oci:{image}", "system_packages": ["libsndfil1"]}
    (tmp_path / "lading.yaml").write_text(json.dumps(spec))
    assert "did you mean 'libsndfile1'?" in lading.fails(4, "lock", cwd=tmp_path)


def test_alternatives_work_on_the_base_that_lading_makes(lading, context, model, tmp_path):
    spec = {"name": "system-own", "model": str(model), "base": "debian:bookworm"}
    package, names, _ = packed(lading, context, spec, tmp_path, "liblapack3")
    assert {"liblapack3", "libblas3"} <= names.keys()
    shown = lading("show", "system-own:1")
    assert f" {len(names)} Debian packages\n" in shown
    assert f"asked for: liblapack3 {names['liblapack3']['version']}\n" in shown
    program = "import ctypes; ctypes.CDLL('liblapack.so.3'); ctypes.CDLL('libblas.so.3'); print('found')"
    assert said_in(context, package.image.layers, "/usr/bin/python3", "-c", program)[0] == "found\n"


@pytest.mark.slow
def test_graphviz_draws_with_all_its_plugins(lading, context, model, image, tmp_path):
    spec = {"name": "system-graphviz", "model": str(model), "base": f"oci:{image}"}
    package, _, said = packed(lading, context, spec, tmp_path, "graphviz")
    assert "libgvc6 (" not in said
    draw = "echo 'digraph { a -> b }' | dot -T"
    program = (
        f"{draw}svg -o /tmp/x.svg; {draw}png -o /tmp/x.png; cd /usr/lib/*/graphviz && cp config6a /tmp/made"
    )
    program += " && GVBINDIR=/tmp/plugins && mkdir /tmp/plugins && cp *.so.6 /tmp/plugins"
    program += " && export GVBINDIR && libgvc6-config-update -c && mv /tmp/plugins/config6a /tmp/theirs"
    program += " && rm -r /tmp/plugins"
    _, files = said_in(context, package.image.layers, "/bin/sh", "-c", program)
    assert files["made"] == files["theirs"]
    assert b"</svg>" in files["x.svg"]
    assert files["x.png"].startswith(b"\x89PNG")


@pytest.mark.slow
def test_ffmpeg_encodes(lading, context, model, tmp_path):
    spec = {"name": "system-ffmpeg", "model": str(model), "base": "debian:bookworm"}
    package, _, said = packed(lading, context, spec, tmp_path, "ffmpeg")
    assert "no maintainer script is run" in said
    assert len(package.image.layers) <= 60
    command = ["-f", "lavfi", "-i", "testsrc=duration=1:size=64x64:rate=5", "-c:v", "libx264", "/tmp/x.mp4"]
    _, files = said_in(context, package.image.layers, "/usr/bin/ffmpeg", "-hide_banner", *command)
    assert b"ftyp" in files["x.mp4"][:16]
