"""Which sandbox is taken, and what is said where none works."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import lading
from lading import sandbox
from lading.core.errors import VerifyError
from lading.core.platform import Platform
from lading.sandbox.kinds import _choose, _program, _try
from sealing import PYTHON, Blobs, foreign_platform, python_files

NOBODY = 65534


@pytest.fixture(autouse=True)
def forget():
    _try.cache_clear()
    yield
    _try.cache_clear()


def test_every_kind_is_tried_and_says_why_it_does_not_work(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {one.kind: one for one in sandbox.available(tmp_path)}
    assert list(found) == ["unshare", "bwrap", "podman", "docker"]
    for kind in ("bwrap", "podman", "docker"):
        assert not found[kind].usable
        assert found[kind].why_not == f"{kind!r} is not found"
    assert list(tmp_path.iterdir()) == []


def test_where_none_works_each_says_why_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VerifyError) as caught:
        _choose(("bwrap", "podman", "docker"), tmp_path)
    assert [issue.where for issue in caught.value.issues] == [
        "sandbox bwrap",
        "sandbox podman",
        "sandbox docker",
    ]
    assert [issue.fix for issue in caught.value.issues] == [
        "on Debian: apt-get install bubblewrap",
        "on Debian: apt-get install podman",
        "on Debian: apt-get install docker.io",
    ]


def test_a_trial_is_made_once_in_a_process(tmp_path, monkeypatch):
    calls = []
    trial = sandbox.kinds._run_trial
    monkeypatch.setattr(
        sandbox.kinds, "_run_trial", lambda *of, overlay: calls.append(of) or trial(*of, overlay=overlay)
    )
    first = sandbox.available(tmp_path)
    count = len(calls)
    assert sandbox.available(tmp_path) == first
    assert len(calls) == count


def test_an_unknown_kind_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(VerifyError, match="got 'chroot', expected one of unshare, bwrap, podman, docker"):
        sandbox.open([], source=Blobs(), unpacked=tmp_path, kind="chroot")


@pytest.mark.parametrize("user", ["root", "65532", "65532:root", "-1:0", "", "1:2:3", "٣:0"])
def test_a_user_is_two_numbers(tmp_path, user):
    with pytest.raises(VerifyError, match="expected numbers"):
        sandbox.open([], source=Blobs(), unpacked=tmp_path, user=user)


def test_sixty_layers_are_no_trouble(tmp_path):
    blobs = Blobs()
    layers = [blobs.seal_files({f"{number}/x": b""}) for number in range(59)]
    layers.append(blobs.seal_files({"true": _program()}))
    try:
        opened = sandbox.open(layers, source=blobs, unpacked=tmp_path / "unpacked", kind="unshare")
    except VerifyError as error:
        pytest.skip(f"no user namespaces here: {error}")
    (tmp_path / "tmp").mkdir()
    assert opened.start(["/true"], env={}, tmp=tmp_path / "tmp").wait(20) == 0


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from lading import sandbox
from lading.core.platform import Platform
from lading.sandbox.kinds import _program
from sealing import Blobs, python_files
blobs = Blobs()
folder, platform = Path(sys.argv[2]), Platform.parse(sys.argv[3])
layers = [blobs.seal_files(python_files()), blobs.seal_files({"true": _program(platform)})]
options = {"source": blobs, "unpacked": folder / "u", "kind": "unshare", "platform": platform}
opened = sandbox.open(layers, **options)
(tmp := folder / "tmp").mkdir()
python = next(name for name in python_files() if "bin/python" in name)
code = "import os; print(os.getuid(), os.getgid()); open('/tmp/x', 'w'); open('/x', 'w')"
one = opened.start(["/" + python, "-I", "-c", code], env={}, tmp=tmp)
print(one.wait(20), one.output(), (tmp / "x").exists())
print(opened.start(["/true"], env={}, tmp=tmp).wait(20))
"""


@pytest.mark.parametrize("platform", [Platform.current(), foreign_platform()], ids=str)
def test_an_ordinary_user_needs_no_rights(platform):
    if os.geteuid() != 0:
        pytest.skip("every other test here runs as an ordinary user already")
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no Python that every user may run: apt-get install python3")
    import zlib_ng

    tests = Path(__file__).parents[1]
    paths = os.pathsep.join(str(Path(one.__file__).parents[1]) for one in (lading, zlib_ng, pytest))
    environment = {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath}

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-W", "ignore", "-s", *argv],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    if run("-c", "import zlib_ng.gzip_ng, pytest, lading.sandbox").returncode:
        pytest.skip(f"{python} cannot import what the tests import: run the tests as an ordinary user")
    with tempfile.TemporaryDirectory(prefix="lading-") as folder:
        os.chown(folder, NOBODY, NOBODY)
        done = run("-c", SCRIPT, str(tests), folder, str(platform))
    if platform != Platform.current() and "cannot run" in done.stderr:
        pytest.skip(f"{platform} cannot be run here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert "65532 0\n" in done.stdout
    assert "Read-only file system: '/x'" in done.stdout
    assert done.stdout.strip().endswith("True\n0")


def test_the_tests_python_is_where_they_say():
    assert PYTHON[1:] in python_files()
