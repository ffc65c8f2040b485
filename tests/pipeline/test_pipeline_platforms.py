"""One package for two platforms, made and tried on either."""

import io
import json
import shutil
import tarfile

import pytest

from engines import end, free_port
from lading import sandbox
from lading.core.platform import Platform
from models import write_iris
from running import Lading, post, wait_for
from sealing import foreign_platform

pytestmark = pytest.mark.network

OWN, FOREIGN = Platform.current(), foreign_platform()
BOTH = ("--platform", OWN, "--platform", FOREIGN)
ROUTINE = """\
import platform
def predict(rows):
    return [platform.machine() for _ in rows]
"""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@pytest.fixture(scope="module")
def can_run(tmp_path_factory):
    """Skip where nothing here runs the other platform's executables."""
    tried = sandbox.available(tmp_path_factory.mktemp("trial"), FOREIGN)[:2]
    if not any(one.usable for one in tried):
        pytest.skip(f"{FOREIGN} cannot be run here: {tried[0].why_not}; apt-get install qemu-user-static")


@pytest.fixture(scope="module")
def routine(lading, tmp_path_factory):
    """A package that says what it runs on, packed without being run."""
    folder = tmp_path_factory.mktemp("routine")
    (folder / "routine.py").write_text(ROUTINE)
    spec = {"code": "routine.py", "entry": "routine.py:predict", "requirements": [], "python": "3.11"}
    (folder / "lading.yaml").write_text(json.dumps(spec))
    return folder, lading.json("pack", folder, "-t", "machine:1", *BOTH)


def test_both_platforms_are_verified_the_foreign_one_emulated(lading, can_run, routine):
    _, packed = routine
    assert packed["platforms"] == [str(OWN), str(FOREIGN)]
    own, foreign = packed["reports"]
    assert own == packed["report"]
    assert own["passed"]
    assert foreign["passed"]
    assert ", " not in own["sandbox"]
    assert ", " in foreign["sandbox"]
    seen = {one["name"]: one["detail"] for one in foreign["checks"]}
    assert seen["interpreter"].endswith(f"on {MACHINES[FOREIGN.architecture]}")
    assert (foreign["latency_ms"], foreign["peak_memory_bytes"]) == (0, 0)


def test_each_platform_is_shown_listed_and_verified(lading, can_run, routine):
    for platform in (OWN, FOREIGN):
        shown = lading.json("show", "machine:1", "--platform", platform)
        assert shown["bill"]["platform"] == str(platform)
        assert [one for one in shown["bill"]["layers"] if one["title"].startswith("byte code")]
    listed = next(one for one in lading.json("list") if one["name"] == "machine:1")
    assert [(one["platform"], one["verified"]) for one in listed["platforms"]] == [
        (str(OWN), True),
        (str(FOREIGN), True),
    ]
    assert listed["platform"] == str(OWN)
    report = lading.json("verify", "machine:1", "--platform", FOREIGN)
    assert report["passed"]
    assert lading.json("verify", "machine:1")["sandbox"] != report["sandbox"]
    assert "linux/amd64, linux/arm64" in lading("list")


def test_a_platform_that_a_package_has_not_is_named_with_those_it_has(lading, routine, tmp_path):
    folder = shutil.copytree(routine[0], tmp_path / "alone")
    lading("pack", folder, "-t", "alone:1", "--no-verify")
    for command in (["show"], ["verify"], ["serve"], ["export", tmp_path / "x.tar"]):
        name, *rest = command
        said = lading.fails(2, name, "alone:1", *rest, "--platform", FOREIGN)
        assert f"got platform {str(FOREIGN)!r}" in said
        assert str(OWN) in said


@pytest.mark.slow
def test_another_home_makes_the_same_index(can_run, routine, tmp_path):
    folder, packed = routine
    copy = shutil.copytree(folder, tmp_path / "copy")
    again = Lading(tmp_path / "home").json("pack", copy, "-t", "other:1", "--no-verify", *BOTH)
    assert again["digest"] == packed["digest"]


def test_where_the_other_cannot_be_run_that_is_told_with_the_way_out(lading, routine, tmp_path):
    folder, packed = routine
    if (true := shutil.which("true")) is None:
        pytest.skip("no true")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "true").symlink_to(true)
    done = lading.run(
        "pack", folder, "-t", "poor:1", *BOTH, "--json", env={"PATH": f"{tmp_path}/bin", "NO_COLOR": "1"}
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    if len(made["reports"]) == 2:
        pytest.skip("this machine's kernel knows an emulator")
    assert [one["passed"] for one in made["reports"]] == [True]
    assert f"{FOREIGN} is sealed without having been run" in done.stderr
    assert "apt-get install qemu-user-static" in done.stderr
    # the platforms that could be run are the same as ever
    assert made["digest"] != packed["digest"]
    shown = [lading.json("show", name, "--platform", OWN)["bill"] for name in ("machine:1", "poor:1")]
    assert shown[0] == shown[1]


def test_a_foreign_package_is_served_emulated(lading, can_run, routine):
    port = free_port()
    process = lading.start("serve", "machine:1", "--port", port, "--platform", FOREIGN)
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process, 300)
        answer = post(f"http://127.0.0.1:{port}/invocations", [[1], [2]], 60)
        assert answer == {"predictions": [MACHINES[FOREIGN.architecture]] * 2}
    finally:
        end(process)
        process.stdout.close()


def test_a_docker_archive_holds_this_machines_platform_or_the_one_asked_for(
    lading, routine, tmp_path, skopeo
):
    done = lading.run("export", "machine:1", tmp_path / "own.tar", "--format", "docker-archive")
    assert done.returncode == 0, done.stderr
    assert f"holds one platform: {OWN}; name another with --platform" in done.stderr
    for platform, name in ((OWN, "own.tar"), (FOREIGN, "foreign.tar")):
        if platform == FOREIGN:
            options = ("--format", "docker-archive", "--platform", FOREIGN)
            lading("export", "machine:1", tmp_path / name, *options)
        seen = json.loads(skopeo.call("inspect", f"docker-archive:{tmp_path / name}"))
        assert (seen["Os"], seen["Architecture"]) == (platform.os, platform.architecture)


@pytest.mark.parametrize("form", ["oci", "oci-archive"])
def test_an_index_is_read_for_each_platform(lading, routine, tmp_path, skopeo, form):
    lading("export", "machine:1", tmp_path / "x", "--format", form)
    place = f"{form}:{tmp_path / 'x'}:machine:1"
    index = json.loads(skopeo.call("inspect", "--raw", place))
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]
    for platform in (OWN, FOREIGN):
        asked = ("--override-arch", platform.architecture, "inspect", place)
        assert json.loads(skopeo.call(*asked))["Architecture"] == platform.architecture


def test_podman_runs_this_machines_platform_of_an_index(lading, routine, tmp_path, podman):
    lading("export", "machine:1", tmp_path / "x.tar", "--format", "oci-archive")
    name = podman.call("pull", "--quiet", f"oci-archive:{tmp_path / 'x.tar'}").strip()
    said = podman.run(
        "--entrypoint", "/opt/lading/env/bin/python", name, "-c", "import platform; print(platform.machine())"
    )
    assert said.strip() == MACHINES[OWN.architecture]


@pytest.mark.slow
def test_scikit_learn_predicts_the_same_on_another_processor(lading, can_run, tmp_path):
    packed = lading.json("pack", write_iris(tmp_path / "iris"), "-t", "both:1", *BOTH)
    assert [(one["matched"], one["predictions"]) for one in packed["reports"]] == [(150, 150)] * 2


@pytest.mark.slow
def test_bubblewrap_emulates_too(lading, can_run, routine):
    assert lading.json("verify", "machine:1", "--platform", FOREIGN, "--sandbox", "bwrap")["passed"]


SETUP = """\
from setuptools import Extension, setup
setup(name="csource", version="1.0", ext_modules=[Extension("csource", ["csource.c"])])
"""
CSOURCE = """\
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "csource", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_csource(void) { return PyModule_Create(&module); }
"""


@pytest.mark.slow
def test_a_source_in_c_is_built_for_the_other_platform_and_imported_there(lading, can_run, tmp_path):
    files = {"setup.py": SETUP, "csource.c": CSOURCE, "PKG-INFO": "Metadata-Version: 2.1\nName: csource\n"}
    files["PKG-INFO"] += "Version: 1.0\n"
    (links := tmp_path / "links").mkdir()
    with tarfile.open(links / "csource-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"csource-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    (folder := tmp_path / "model").mkdir()
    (folder / "routine.py").write_text("import csource\n" + ROUTINE)
    spec = {"code": "routine.py", "entry": "routine.py:predict", "requirements": ["csource"]}
    spec |= {"python": "3.11", "indexes": {"find_links": [str(links)]}}
    (folder / "lading.yaml").write_text(json.dumps(spec))
    packed = lading.json("pack", folder, "-t", "csource:1", "--platform", FOREIGN)
    assert packed["report"]["passed"]
