"""Another processor's executables, run here without anything being registered on the machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lading import sandbox
from lading.core.errors import VerifyError
from lading.core.platform import Platform
from lading.sandbox import emulator
from lading.sandbox.kinds import _program, _try
from sealing import PYTHON, Blobs, foreign_platform

FOREIGN = foreign_platform()


@pytest.fixture(params=["unshare", "bwrap"])
def opened(request, python_layer, blobs: Blobs, tmp_path):
    layer = blobs.seal_files({"true": _program(FOREIGN)})
    try:
        return sandbox.open(
            [python_layer, layer],
            source=blobs,
            unpacked=tmp_path / "unpacked",
            kind=request.param,
            platform=FOREIGN,
        )
    except VerifyError as error:
        pytest.skip(f"{request.param} cannot run {FOREIGN} here: {error}")


def test_a_foreign_executable_runs_and_so_do_those_that_are_started_inside(opened, tmp_path):
    (tmp_path / "tmp").mkdir()
    assert opened.start(["/true"], env={}, tmp=tmp_path / "tmp").wait(60) == 0
    code = "import subprocess; print([subprocess.run(['/true']).returncode for _ in range(3)])"
    parent = opened.start([PYTHON, "-I", "-c", code], env={}, tmp=tmp_path / "tmp")
    assert parent.wait(60) == 0, parent.output()
    assert parent.output().strip() == "[0, 0, 0]"


def test_what_emulates_is_in_the_name(opened):
    assert opened.emulated
    kind, _, helper = opened.name.partition(", ")
    assert kind in {"unshare", "bwrap"}
    assert helper in {emulator.find(FOREIGN).name, "an emulator of the kernel's"}


def test_the_machine_does_not_learn_of_it(opened, tmp_path):
    """Whatever its kernel knew before, it knows no more while one runs, and after."""
    program = tmp_path / "true"
    program.write_bytes(_program(FOREIGN))
    program.chmod(0o755)

    def outside() -> object:
        try:
            return subprocess.run([program], check=False).returncode
        except OSError as error:
            return error.errno

    def rules() -> list[str]:
        return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "binfmt" in line]

    before, mounted = outside(), rules()
    (tmp_path / "tmp").mkdir()
    code = "import time; open('/tmp/ready', 'w').close(); time.sleep(100)"
    one = opened.start([PYTHON, "-I", "-c", code], env={}, tmp=tmp_path / "tmp")
    try:
        assert outside() == before
        assert rules() == mounted
    finally:
        one.stop(0)
    assert outside() == before
    known = Path("/proc/sys/fs/binfmt_misc")
    assert not [one for one in (known.iterdir() if known.is_dir() else ()) if one.name.startswith("lading")]


def test_an_image_may_not_make_rules_of_its_own(opened, tmp_path):
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.mount(b"binfmt_misc", b"/tmp", b"binfmt_misc", 0, None)
print(ctypes.get_errno() != 0, os.path.exists("/proc/sys/fs/binfmt_misc/register"))
"""
    (tmp_path / "tmp").mkdir()
    one = opened.start([PYTHON, "-I", "-c", code], env={}, tmp=tmp_path / "tmp")
    assert one.wait(60) == 0, one.output()
    assert one.output().split()[0] == "True"
    assert one.output().split()[1] == "False" or opened.emulated == "an emulator of the kernel's"


def test_without_an_emulator_its_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    _try.cache_clear()
    try:
        found = {one.kind: one for one in sandbox.available(tmp_path, FOREIGN)}
    finally:
        _try.cache_clear()
    if found["unshare"].usable:
        pytest.skip("this machine's kernel knows an emulator")
    machine = emulator.MACHINES[FOREIGN.architecture][1]
    assert f"cannot run {FOREIGN}: 'qemu-{machine}-static' is not found" in found["unshare"].why_not
    assert found["unshare"].fix == "on Debian: apt-get install qemu-user-static"


def test_an_emulator_that_needs_libraries_of_the_machine_is_not_taken(tmp_path, monkeypatch):
    """One that is linked dynamically would look for its libraries in the image."""
    if (dynamic := shutil.which("cat")) is None:
        pytest.skip("no cat")
    machine = emulator.MACHINES[FOREIGN.architecture][1]
    (tmp_path / f"qemu-{machine}").symlink_to(dynamic)
    monkeypatch.setenv("PATH", str(tmp_path))
    _try.cache_clear()
    try:
        found = sandbox.available(tmp_path, FOREIGN)[0]
    finally:
        _try.cache_clear()
    if found.usable:
        assert found.emulator is None
    assert found.usable or "exec format" in found.why_not.lower() or "No such file" in found.why_not


@pytest.mark.parametrize("folder", ["a:b", "a" * 130])
def test_a_path_that_no_rule_can_hold_is_told(folder, tmp_path, monkeypatch):
    machine = emulator.MACHINES["arm64"][1]
    (program := tmp_path / folder / f"qemu-{machine}-static").parent.mkdir()
    program.write_bytes(b"")
    program.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(program))
    with pytest.raises(VerifyError, match="cannot be told to the kernel"):
        emulator.find(Platform.parse("arm64"))


def parsed(rule: str) -> tuple[bytes, bytes]:
    """Read magic and mask of a rule as the kernel does (fs/binfmt_misc.c, create_entry)."""
    _, name, kind, offset, magic, mask, path, flags = rule.split(":")
    assert (name, kind, offset, path, flags) == (name, "M", "", "/q", "F")
    return (bytes.fromhex(magic.replace("\\x", "")), bytes.fromhex(mask.replace("\\x", "")))


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_a_rule_is_for_executables_of_one_processor_alone(architecture):
    magic, mask = parsed(emulator._rule(architecture, "/q"))
    assert len(magic) == len(mask)

    def fits(data: bytes) -> bool:
        return all((got ^ want) & keep == 0 for got, want, keep in zip(data, magic, mask, strict=False))

    own = _program(Platform("linux", architecture))
    shared = own[:16] + b"\x03" + own[17:]  # ET_DYN, as a position independent executable is
    gnu = own[:7] + b"\x03" + own[8:]  # an executable for GNU/Linux says so
    for data in (own, shared, gnu):
        assert fits(data)
    other = _program(Platform("linux", {"amd64": "arm64", "arm64": "amd64"}[architecture]))
    for data in (other, b"#!/bin/sh\n".ljust(200), own[:4] + b"\x01" + own[5:]):
        assert not fits(data)


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_emulator_of_either_processor_is_found_by_qemus_name_for_it(architecture, tmp_path, monkeypatch):
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[architecture]
    for name in (f"qemu-{machine}", f"qemu-{machine}-static"):
        (tmp_path / name).write_bytes(b"")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = emulator.find(Platform("linux", architecture))
    assert (found.name, found.path) == (f"qemu-{machine}", str(tmp_path / f"qemu-{machine}-static"))
