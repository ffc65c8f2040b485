from __future__ import annotations

import csv
import io
import os
import random
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import installer
import pytest
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

from lading.core.digest import Digest
from lading.core.errors import IntegrityError
from lading.core.platform import Platform
from lading.layers import record, wheel

SITE = "opt/lading/env/lib/python3.11/site-packages"
DATA = "demo-1.0.data"
FILES = {
    "demo/__init__.py": b"import os\n",
    "demo/empty.py": b"",
    "demo/big.bin": bytes(range(256)) * 20_000,
    "demo/\u00e9.txt": b"accent",
    "top.py": b"x = 1\n",
    f"{DATA}/scripts/run": b"#!python\nprint('run')\n",
    f"{DATA}/scripts/shell": b"#!/bin/sh\necho\n",
    f"{DATA}/data/share/demo.txt": b"data",
    f"{DATA}/headers/demo.h": b"int x;\n",
    f"{DATA}/purelib/pure.py": b"pure = 1\n",
    f"{DATA}/platlib/plat.py": b"plat = 1\n",
}


def install_by_installer(path: Path, folder: Path) -> dict[str, bytes]:
    """Install with PyPA's own installer; return files by path, scripts of entry points left out."""
    prefix = folder / "opt/lading/env"
    schemes = {
        "purelib": str(folder / SITE),
        "platlib": str(folder / SITE),
        "scripts": str(prefix / "bin"),
        "headers": str(prefix / "include/site/python3.11/demo"),
        "data": str(prefix),
    }
    destination = SchemeDictionaryDestination(schemes, "/opt/lading/env/bin/python", "posix")
    with WheelFile.open(path) as source, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source.validate_record()
        installer.install(source, destination, {"INSTALLER": b"lading\n"})
    return {
        one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


def compare(path: Path, target, seal, folder: Path) -> None:
    ours = seal(lambda writer: wheel.write(path, writer, target)).files
    theirs = install_by_installer(path, folder)
    with zipfile.ZipFile(path) as archive:
        shipped = {name.rpartition("/")[2] for name in archive.namelist()}
    for one in set(ours) | set(theirs):
        generated = one.startswith("opt/lading/env/bin/") and one.rpartition("/")[2] not in shipped
        if generated or one.endswith("/RECORD"):
            assert one in ours
            assert one in theirs
        else:
            assert ours[one] == theirs[one], one


def test_it_installs_what_pypas_installer_does(make_wheel, target, seal, tmp_path):
    extra = {"demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\ndemo = demo:main\n"}
    path = make_wheel({**FILES, **extra, "demo/__pycache__/x.pyc": b"planted"})
    compare(path, target, seal, tmp_path / "installed")


def test_stored_wheels_install_alike(make_wheel, target, seal):
    deflated = seal(lambda writer: wheel.write(make_wheel(FILES), writer, target))
    stored = seal(lambda writer: wheel.write(make_wheel(FILES, method=zipfile.ZIP_STORED), writer, target))
    assert deflated.tar.diff_id == stored.tar.diff_id


def test_an_empty_wheel_installs_its_metadata(make_wheel, target, seal):
    files = seal(lambda writer: wheel.write(make_wheel(), writer, target)).files
    info = f"{SITE}/demo-1.0.dist-info"
    assert set(files) == {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "INSTALLER")}
    assert files[f"{info}/INSTALLER"] == b"lading\n"


def test_the_installed_record_lists_every_file_as_it_is(make_wheel, target, seal):
    scripts = {"demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\ndemo = demo:main\n"}
    files = seal(lambda writer: wheel.write(make_wheel({**FILES, **scripts}), writer, target)).files
    own = f"{SITE}/demo-1.0.dist-info/RECORD"
    rows = list(csv.reader(io.StringIO(files[own].decode(), newline="")))
    listed = {os.path.normpath(f"{SITE}/{path}") for path, _, _ in rows}
    assert listed == set(files)
    for path, (digest, size_bytes) in record.parse(files[own]).items():
        data = files[os.path.normpath(f"{SITE}/{path}")]
        assert (Digest.of(data), len(data)) == (digest, size_bytes)


def test_scripts_run_by_the_environments_python(make_wheel, target, seal, tmp_path):
    entry_points = (
        b"[console_scripts]\nHello-1 = demo.cli:App.main [extra]\n[gui_scripts]\nwin=demo.cli:App.main\n"
    )
    files = {
        "demo/__init__.py": b"",
        "demo/cli.py": b"class App:\n    def main():\n        print('hello')\n        return 3\n",
        f"{DATA}/scripts/run": b"#!pythonw -E\nprint('run')\n",
        "demo-1.0.dist-info/entry_points.txt": entry_points,
    }
    sealed = seal(lambda writer: wheel.write(make_wheel(files), writer, target))
    for name in ("Hello-1", "win", "run"):
        path = f"opt/lading/env/bin/{name}"
        assert sealed.files[path].startswith(b"#!/opt/lading/env/bin/python\n")
        assert sealed.members[path].mode == 0o755
    (tmp_path / "demo").mkdir()
    for name in ("__init__", "cli"):
        (tmp_path / f"demo/{name}.py").write_bytes(files[f"demo/{name}.py"])
    (tmp_path / "script.py").write_bytes(sealed.files["opt/lading/env/bin/Hello-1"])
    result = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (3, b"hello\n")


def test_executable_files_stay_executable(make_wheel, target, seal):
    files = {"demo/tool": b"#!/bin/sh\n", "demo/data": b""}
    members = seal(
        lambda writer: wheel.write(make_wheel(files, executable=("demo/tool",)), writer, target)
    ).members
    assert members[f"{SITE}/demo/tool"].mode == 0o755
    assert members[f"{SITE}/demo/data"].mode == 0o644


def test_entries_are_sorted(make_wheel, target, seal):
    sealed = seal(lambda writer: wheel.write(make_wheel(FILES), writer, target))
    files = [name for name, member in sealed.members.items() if member.isfile()]
    assert files == sorted(files, key=str.encode)


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("cp311-cp311-manylinux_2_28_x86_64", True),
        ("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        ("cp38-abi3-manylinux_2_17_x86_64", True),
        ("cp311-none-linux_x86_64", True),
        ("py3-none-manylinux1_x86_64", True),
        ("cp312-cp312-manylinux_2_28_x86_64", False),
        ("cp312-abi3-manylinux_2_28_x86_64", False),
        ("cp311-cp311-manylinux_2_28_aarch64", False),
        ("cp311-cp311-musllinux_1_2_x86_64", False),
        ("cp311-cp311-macosx_11_0_arm64", False),
        ("cp311-cp311-win_amd64", False),
        ("pp311-pypy311_pp73-manylinux_2_28_x86_64", False),
        ("py2-none-any", False),
    ],
)
def test_a_wheel_for_another_target_is_refused(make_wheel, target, tag, fits):
    path = make_wheel(tag=tag)
    if fits:
        wheel.plan(path, target)
    else:
        with pytest.raises(IntegrityError, match=r"not for CPython 3\.11 on linux/amd64"):
            wheel.plan(path, target)


def test_a_wheel_for_arm_is_laid_out_anywhere(make_wheel, seal):
    target = wheel.Target("opt/lading/env", "3.13", Platform("linux", "arm64"))
    path = make_wheel({"demo/a.so": b"arm"}, tag="cp313-cp313-manylinux_2_28_aarch64")
    files = seal(lambda writer: wheel.write(path, writer, target)).files
    assert "opt/lading/env/lib/python3.13/site-packages/demo/a.so" in files


def entry_points(text: bytes) -> dict[str, bytes]:
    return {"demo-1.0.dist-info/entry_points.txt": text}


def renamed(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


OTHER = "sha256=" + "A" * 43
DEMO = {"demo.py": b"abc"}
EVIL = {
    "unlisted": lambda make: make(DEMO, record={"demo.py": None}),
    "unlisted too": lambda make: make(extra=lambda archive: archive.writestr("unlisted", b"")),
    "no hash": lambda make: make(DEMO, record={"demo.py": ("", "3")}),
    "other hash": lambda make: make(DEMO, record={"demo.py": (OTHER, "3")}),
    "other hash, stored": lambda make: make(
        DEMO, record={"demo.py": (OTHER, "3")}, method=zipfile.ZIP_STORED
    ),
    "other hash of a script": lambda make: make(
        {f"{DATA}/scripts/run": b"#!python\n"}, record={f"{DATA}/scripts/run": (OTHER, "9")}
    ),
    "weak hash": lambda make: make(DEMO, record={"demo.py": ("md5=kAFQmDzST7DWlj99KOF_cg", "3")}),
    "no base64": lambda make: make(DEMO, record={"demo.py": ("sha256=\u00e9", "3")}),
    "other length": lambda make: make(DEMO, record={"demo.py": (OTHER, "4")}),
    "no length": lambda make: make(DEMO, record={"demo.py": (OTHER, "three")}),
    "wheel version": lambda make: make(wheel_version="2.0"),
    "two dist-infos": lambda make: make({"other-1.0.dist-info/METADATA": b""}),
    "another project": lambda make: renamed(make(), "other-1.0-py3-none-any.whl"),
    "another version": lambda make: renamed(make(), "demo-2.0-py3-none-any.whl"),
    "no wheel's name": lambda make: renamed(make(), "demo.whl"),
    "unknown scheme": lambda make: make({f"{DATA}/kernel/x": b""}),
    "no scheme": lambda make: make({f"{DATA}/x": b""}),
    "escape": lambda make: make({f"{DATA}/data/../../../etc/passwd": b""}),
    "two at one path": lambda make: make({"x.py": b"1", f"{DATA}/purelib/x.py": b"2"}),
    "script escapes": lambda make: make(entry_points(b"[console_scripts]\n../../x = demo:main\n")),
    "script injects": lambda make: make(entry_points(b"[console_scripts]\nx = demo:main();evil\n")),
    "script calls nothing": lambda make: make(entry_points(b"[console_scripts]\nx = demo\n")),
    "script malformed": lambda make: make(entry_points(b"[console_scripts\n")),
    "script not text": lambda make: make(entry_points(b"\xff\xfe")),
}


@pytest.mark.parametrize("what", EVIL)
def test_an_evil_wheel_is_refused(make_wheel, target, seal, what):
    path = EVIL[what](make_wheel)
    with pytest.raises(IntegrityError) as caught:
        seal(lambda writer: wheel.write(path, writer, target))
    assert all(issue.where and issue.what for issue in caught.value.issues)


@pytest.mark.parametrize("name", ["demo-1.0.0-py3-none-any.whl", "Demo-1-py3-none-any.whl"])
def test_a_name_may_be_written_otherwise(make_wheel, target, name):
    wheel.plan(renamed(make_wheel(), name), target)


def test_a_missing_file_of_the_format_is_named(target, tmp_path):
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    with pytest.raises(IntegrityError, match=r"RECORD: is missing"):
        wheel.plan(path, target)


def test_wheels_that_share_a_layer_keep_one_copy_of_what_they_agree_on(make_wheel, target, seal):
    plans = [wheel.plan(make_wheel({"same.py": b"="}, name=name), target) for name in ("one", "two")]
    files = seal(lambda writer: wheel.write_all(plans, writer)).files
    assert files[f"{SITE}/same.py"] == b"="
    again = seal(lambda writer: wheel.write_all(plans[::-1], writer)).files
    assert again == files


def test_any_flipped_byte_of_a_wheel_is_caught_or_harmless(make_wheel, target, seal):
    path = make_wheel({"demo.py": b"print('hello')\n" * 9, f"{DATA}/scripts/run": b"#!python\n"})
    data = bytearray(path.read_bytes())
    sound = seal(lambda writer: wheel.write(path, writer, target)).files
    masks = random.Random(0)
    caught = 0
    for at in range(len(data)):
        mask = masks.randrange(1, 256)
        data[at] ^= mask
        path.write_bytes(data)
        data[at] ^= mask
        try:
            found = seal(lambda writer: wheel.write(path, writer, target)).files
        except IntegrityError:
            caught += 1
        else:
            assert found == sound
    assert caught > 0.8 * len(data)


PROGRAM = """
import sys
from pathlib import Path
from lading.core.platform import Platform
from lading.layers import wheel
from lading.layers.tar import LayerWriter
from lading.store import MemoryStore
with MemoryStore().create() as blob:
    writer = LayerWriter(blob)
    wheel.write(Path(sys.argv[1]), writer, wheel.Target("opt/lading/env", "3.11", Platform("linux", "amd64")))
    print(writer.finish())
"""


def test_the_same_wheel_gives_the_same_bytes_in_any_process(make_wheel, tmp_path):
    path = make_wheel(FILES)
    outputs = set()
    for seed, zone, umask, folder in (("0", "UTC", 0o022, "/"), ("123", "Asia/Tokyo", 0o077, str(tmp_path))):
        env = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C", "HOME": folder}
        command = [sys.executable, "-c", PROGRAM, str(path)]
        result = subprocess.run(command, cwd=folder, env=env, umask=umask, capture_output=True, check=True)
        outputs.add(result.stdout)
    assert len(outputs) == 1


@pytest.mark.network
@pytest.mark.parametrize(
    "requirement", ["numpy==2.4.6", "scikit-learn==1.9.1", "uvicorn==0.54.0", "setuptools==80.9.0"]
)
def test_real_wheels_install_as_pypas_installer_does(requirement, target, seal, tmp_path):
    pytest.importorskip("pip", reason="needs pip in this environment: python -m ensurepip")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    options = [
        "--python-version=3.11",
        "--platform=manylinux_2_28_x86_64",
        "--dest",
        str(tmp_path / "wheels"),
    ]
    subprocess.run([*command, *options, requirement], check=True, capture_output=True)
    (path,) = (tmp_path / "wheels").iterdir()
    compare(path, target, seal, tmp_path / "installed")
