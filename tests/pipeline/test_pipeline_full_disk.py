"""A disk that is full at every stage: it is said in plain words, and nothing that was there is lost."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import forking

pytestmark = pytest.mark.network


class Disk:
    """A small file system of its own, and a lading that sees it; it goes with its process."""

    def __init__(self, mount_point, size_bytes):
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        script = f'mount -t tmpfs -o size={size_bytes} tmpfs "$1" && echo mounted && exec sleep 3000'
        command = ["unshare", *user, "--mount", "sh", "-c", script, "sh", mount_point]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.is_mounted = self.process.stdout.readline() == "mounted\n"
        enter = ["nsenter", "--target", str(self.process.pid), "--mount"]
        self.enter = [*enter, "--user", "--preserve-credentials"] if user else enter
        self.mount_point = mount_point
        self.folder = Path(f"/proc/{self.process.pid}/root{mount_point}")
        self.parent = forking.Parent(*self.enter) if self.is_mounted else None

    def close(self):
        if self.parent:
            self.parent.close()
        self.process.kill()
        self.process.communicate()

    def leave(self, free_bytes):
        """Fill the disk but for this many bytes."""
        self.fill(0)
        status = os.statvfs(self.folder)
        self.fill(max(0, status.f_bavail * status.f_frsize - free_bytes))

    def fill(self, size_bytes):
        filler = self.folder / "filler"
        with filler.open("wb") as file:
            file.truncate(0)
            if size_bytes:
                os.posix_fallocate(file.fileno(), 0, size_bytes)

    def run(self, *arguments, **env):
        own = {**os.environ, "NO_COLOR": "1", "LADING_HOME": f"{self.mount_point}/home", **env}
        return self.parent.run([*map(str, arguments)], own)

    def ok(self, *arguments, **env):
        done = self.run(*arguments, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, done):
        """Tell whether a run was refused for want of space; it may not fail in any other way."""
        assert "Traceback" not in done.stderr, done.stderr
        assert "defect" not in done.stderr, done.stderr
        if done.returncode == 0:
            return False
        assert done.returncode == 8, done.stderr
        assert "No space left on device" in done.stderr
        assert "fix: free some space" in done.stderr
        return True


@pytest.fixture
def disk(tmp_path):
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("unshare and nsenter are not there: apt-get install util-linux")
    (tmp_path / "disk").mkdir()
    made = Disk(tmp_path / "disk", 220 << 20)
    if not made.is_mounted:
        made.close()
        pytest.skip("no file system may be mounted here")
    yield made
    made.close()


@pytest.fixture
def packed(echo, disk):
    """A disk with a home in which a package is, and the caches of packing it; the package's folder."""
    home, folder = echo
    home.copy(disk.folder / "home")
    return folder


def another(folder, tmp_path):
    folder = shutil.copytree(folder, tmp_path / "another")
    (folder / "score.py").write_text("def run(data):\n    return [data]\n")
    return folder


def test_packing_on_a_disk_that_fills_up_loses_nothing_and_then_succeeds(disk, packed, tmp_path):
    other = another(packed, tmp_path)
    refusals = 0
    for free_bytes in (0, 4096, 40_000, 1_000_000, 30_000_000):
        disk.leave(free_bytes)
        refusals += disk.refused(disk.run("pack", other, "-t", "echo:2"))
        disk.fill(0)
        disk.ok("fsck")
        assert "echo:1" in disk.ok("list")
    assert refusals >= 2
    disk.ok("pack", other, "-t", "echo:2")
    disk.ok("fsck")


def test_every_command_says_that_the_disk_is_full_or_does_without(disk, packed, tmp_path, registry):
    shutil.rmtree(disk.folder / "home/cache/downloads")
    disk.ok("tag", "echo:1", "echo:2")
    there = f"{registry.host}/full/echo:1"
    config = tmp_path / "config"
    disk.ok("push", "echo:1", there, DOCKER_CONFIG=str(config))
    before = disk.ok("list")
    changes = [
        ["tag", "echo:1", "echo:3"],
        ["untag", "echo:2"],
        ["rm", "echo:1"],
        ["pull", there, "-t", "echo:4"],
        ["export", "echo:1", f"{disk.mount_point}/out.tar"],
        ["export", "echo:1", f"{disk.mount_point}/out"],
    ]
    reads = [
        ["list"],
        ["show", "echo:1"],
        ["du"],
        ["fsck"],
        ["gc", "--dry-run"],
        ["gc"],
        ["push", "echo:1", there],
    ]
    disk.leave(0)
    for command in changes:
        done = disk.run(*command)
        assert disk.refused(done) or command[0] == "pull", command
        if command[0] == "pull":
            assert done.returncode or disk.ok("untag", "echo:4")
        assert disk.ok("list") == before
    for command in reads:
        assert not disk.refused(disk.run(*command)), command
    assert sorted(path.name for path in disk.folder.iterdir()) == ["filler", "home"]
    # the way out that is named works without any room
    assert disk.refused(disk.run("rm", "echo:2"))
    disk.ok("gc", "--cache")
    disk.ok("rm", "echo:2")
    disk.fill(0)
    disk.ok("tag", "echo:1", "echo:2")
    for command in changes[:2] + changes[3:] + changes[2:3]:
        disk.ok(*command)
    disk.ok("fsck")


@pytest.mark.parametrize("variable", ["TMPDIR", "UV_CACHE_DIR"])
def test_a_disk_of_temporary_files_or_of_uv_that_is_full_is_told(disk, echo, tmp_path, variable):
    home, folder = echo
    other = another(folder, tmp_path)
    home.copy(tmp_path / "home", "cache/downloads", linked=True)
    env = {variable: str(disk.mount_point), "LADING_HOME": str(tmp_path / "home")}
    refusals = 0
    for free_bytes in (8192, 60_000):
        disk.leave(free_bytes)
        refusals += disk.refused(disk.run("pack", other, "-t", "echo:1", "--upgrade", **env))
    assert refusals >= 1
    disk.fill(0)
    disk.ok("pack", other, "-t", "echo:1", "--upgrade", **env)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts read-only here")
def test_a_disk_that_may_only_be_read_is_read_and_its_refusal_told(disk, packed):
    for name in ("rebuild", "unpacked"):
        (disk.folder / "home/cache" / name).mkdir(exist_ok=True)
    mount = [*disk.enter, "mount", "-o", "remount,ro", disk.mount_point]
    subprocess.run(mount, check=True)
    for command in (["list"], ["show", "echo:1"], ["du"], ["fsck"], ["gc", "--cache", "--dry-run"]):
        disk.ok(*command)
    changes = [["tag", "echo:1", "echo:2"], ["rm", "echo:1"], ["gc"], ["pack", packed, "-t", "echo:2"]]
    runs = [["verify", "echo:1"], ["run", "echo:1"], ["rebuild", "echo:1", "--check"]]
    for command in (*changes, *runs):
        done = disk.run(*command)
        assert done.returncode == 8, (command, done.stderr)
        assert "cannot be written: Read-only file system" in done.stderr
        assert "LADING_HOME" in done.stderr
        assert "Traceback" not in done.stderr
