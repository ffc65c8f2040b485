"""A build context is built by the engine that is there, once for the same content, and is a base."""

import json
import tarfile

import pytest

from lading.core.assets import AssetDraft
from lading.core.errors import SpecError, VerifyError
from lading.core.platform import Platform
from lading.pipeline import assets, bases, building
from lading.pipeline.context import Context
from lading.sandbox import builders
from lading.settings import Settings

STORAGE = '[storage]\ndriver = "overlay"\nrunroot = "{0}/run"\ngraphroot = "{0}/root"\n'


@pytest.fixture
def engine(engine_folder, monkeypatch, request):
    """Have buildah and podman work on a machine without systemd, with a storage of their own."""
    conf, limits = engine_folder / "build-storage.conf", engine_folder / "build-containers.conf"
    conf.write_text(STORAGE.format(engine_folder / "build"))
    limits.write_text('[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\nevents_logger = "file"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(conf))
    monkeypatch.setenv("CONTAINERS_CONF", str(limits))
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    if hasattr(request, "param"):
        monkeypatch.setattr(builders, "TOOLS", (request.param,))


@pytest.fixture
def context(tmp_path):
    with Context(Settings(tmp_path / "home")) as one:
        yield one


def environment(context, tmp_path, dockerfile, **more):
    folder = tmp_path / "docker"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "hello").write_text("hello")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    document = {"build": {"dockerfile_path": "Dockerfile"}, **more}
    made = assets.create(context, AssetDraft("environment", "my-env", document=document, path=folder))
    return assets.resolve(context, made.asset.reference, "environment")


@pytest.mark.network
@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(one, id=one.name, marks=[pytest.mark.slow] if one.name != "buildah" else [])
        for one in builders.TOOLS[:2]
    ],
    indirect=True,
)
def test_a_context_is_built_once_and_is_a_base(context, tmp_path, engine, debian_image):
    text = f"FROM oci:{debian_image}\nCOPY hello run.sh /srv/\nENV WORD=built\n"
    found = environment(context, tmp_path, text)
    base = building.built(context, found)
    assert (base.form, base.path.name) == ("oci-archive", "my-env-1.tar")
    written = base.path.stat().st_mtime_ns
    assert building.built(context, found) == base
    assert base.path.stat().st_mtime_ns == written
    facts = bases.resolve(context, base, "", Platform.current())
    image = bases.read(context, facts.base, Platform.current())
    assert image.variables["WORD"] == "built"
    assert image.distribution.codename == "bookworm"


def test_what_does_not_build_is_told_with_what_the_engine_said(context, tmp_path, engine):
    found = environment(context, tmp_path, "FROM scratch\nCOPY nothing /x\n")
    with pytest.raises(VerifyError, match=r"Dockerfile: \w+ could not build it(.|\n)*nothing"):
        building.built(context, found)
    assert not list((tmp_path / "home/cache/built").iterdir())


def test_without_an_engine_it_is_told_what_is_needed(context, tmp_path, monkeypatch):
    found = environment(context, tmp_path, "FROM scratch\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VerifyError, match="needs buildah, podman or docker: buildah is not installed"):
        building.built(context, found)


def test_an_environment_without_a_context_cannot_be_built(context):
    draft = AssetDraft("environment", "plain", document={"image": "debian:bookworm"})
    found = assets.resolve(context, assets.create(context, draft).asset.reference, "environment")
    with pytest.raises(SpecError, match="has no build context"):
        building.built(context, found)


def test_only_a_dockerfile_of_the_context_is_built(context, tmp_path):
    found = environment(context, tmp_path, "FROM scratch\n", build={"dockerfile_path": "../../secret"})
    with pytest.raises(SpecError, match=r"there is no '../../secret' in its build context"):
        building.built(context, found)


@pytest.mark.slow
def test_docker_builds_where_it_alone_is_there(context, tmp_path, docker, monkeypatch):
    monkeypatch.setattr(builders, "TOOLS", builders.TOOLS[2:])
    monkeypatch.setenv("DOCKER_HOST", docker.command[-1])
    found = environment(context, tmp_path, "FROM scratch\nCOPY hello run.sh /srv/\nENV WORD=built\n")
    base = building.built(context, found)
    with tarfile.open(base.path) as archive:
        assert json.load(archive.extractfile("manifest.json"))[0]["Layers"]
    assert base.form == "docker-archive"
    assert not docker.call("image", "ls", "--quiet").strip()
