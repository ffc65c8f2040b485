"""Base images as other tools make them: Debian's files in an image, and one that is like `python:3.11-slim`.

A pytest plugin. No hub of images is asked: the files are those of lading's own base.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lading import settings
from lading.core import canonical
from lading.core.descriptor import CONFIG, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.lock import PlatformLock
from lading.core.platform import Platform
from lading.core.reference import Reference
from lading.layers import Cargo, assemble
from lading.pipeline.context import Context
from lading.store import LayoutStore, documents
from lading.store.copy import copy

AMD64 = Platform("linux", "amd64")
DEBIAN = "debian:slim"
SLIM = "python:3.11-slim"


def bake(home: Path, folder: Path, platform: Platform, *, name: str = DEBIAN) -> Path:
    """Write Debian bookworm's smallest Python as an image of its own, into an OCI layout.

    In a process of its own, which takes its connections along when it ends.
    """
    command = [sys.executable, "-W", "ignore", __file__, home, folder, str(platform), name]
    subprocess.run(list(map(str, command)), check=True)
    return folder


def _bake(home: Path, folder: Path, platform: Platform, name: str) -> None:
    context = Context(settings.load(dict(os.environ), home=home))
    facts = context.base("debian:bookworm", platform)
    made = assemble(
        Cargo(PlatformLock(platform, facts.base, facts.interpreters[0], (), ()), "none"),
        fetch=context.fetch_debian,
        fetch_deb=context.deb,
        store=context.store,
        cache=context.layers,
        digests=context.digests,
    )
    layers = [one for one in made.layers if one.kind == "base"]
    settled = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"], "Cmd": ["python3"]}
    data = canonical.encode(
        {
            "architecture": platform.architecture,
            "os": "linux",
            "config": settled,
            "rootfs": {"type": "layers", "diff_ids": [str(one.diff_id) for one in layers]},
        }
    )
    manifest = canonical.encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": Descriptor(CONFIG, Digest.of(data), len(data)).to_json(),
            "layers": [one.descriptor.to_json() for one in layers],
        }
    )
    for document in (data, manifest):
        documents.write(context.store, document)
    described = Descriptor(MANIFEST, Digest.of(manifest), len(manifest), platform=platform)
    layout = LayoutStore(folder)
    copy(context.store, described, layout)
    layout.tag(Reference.parse(name), described)


@pytest.fixture(scope="session")
def debian_image(lading, tmp_path_factory) -> Path:
    """An OCI layout of Debian's Python, without a user."""
    return bake(lading.home, tmp_path_factory.mktemp("debian") / "layout", AMD64)


@pytest.fixture(scope="session")
def slim_image(debian_image, umoci, tmp_path_factory) -> Path:
    """An OCI layout: Python moved to /usr/local in a layer of its own, with whiteouts; a user, variables."""
    if os.geteuid() != 0:
        pytest.skip("an image with owners is unpacked and repacked as root: sudo scripts/check")
    folder = tmp_path_factory.mktemp("slim")
    layout, bundle = folder / "layout", folder / "bundle"
    subprocess.run(["cp", "-r", debian_image, layout], check=True)
    umoci.call("unpack", "--image", f"{layout}:{DEBIAN}", bundle)
    root = bundle / "rootfs"
    for path in ("bin/python3.11", "lib/python3.11"):
        (root / "usr/local" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "usr" / path).rename(root / "usr/local" / path)
    (root / "usr/bin/python3").unlink()
    (root / "usr/local/bin/python3").symlink_to("python3.11")
    (root / "usr/local/bin/python").symlink_to("python3")
    with (root / "etc/passwd").open("a") as users:
        users.write("app:x:1000:1000::/home/app:/bin/sh\n")
    image = f"{layout}:{SLIM}"
    umoci.call("repack", "--image", image, bundle)
    settings = ["--config.user", "app", "--config.workingdir", "/srv", "--config.env", "GREETING=hello world"]
    settings += [
        "--config.env",
        "PYTHONPATH=/nowhere",
        "--config.env",
        "PATH=/usr/local/bin:/usr/bin:/bin:/x",
    ]
    umoci.call("config", "--image", image, *settings)
    return layout


if __name__ == "__main__":
    _bake(Path(sys.argv[1]), Path(sys.argv[2]), Platform.parse(sys.argv[3]), sys.argv[4])
