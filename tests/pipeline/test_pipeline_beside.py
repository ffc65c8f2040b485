"""Many ladings at once in one home: packing the same and different models, beside collection in a loop."""

import shutil
import subprocess

import pytest

from running import Lading

pytestmark = pytest.mark.network


def test_packs_and_collections_at_once_all_succeed_with_one_digest(lading, tmp_path):
    folders = []
    for name in ("same", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "score.py").write_text(f"def run(data):\n    return [{name!r}, data]\n")
        folders.append(folder)
    same, other = folders
    expected = lading.json("pack", same, "-t", "same:1", "--no-verify")["digest"]
    own = Lading(tmp_path / "home")
    shutil.copytree(lading.home / "cache/downloads", own.home / "cache/downloads")
    packs = [own.start("pack", same, "-t", f"same:{number}", "--no-verify") for number in range(2)]
    packs += [own.start("pack", other, "-t", "other:1", "--no-verify")]
    collections = 0
    while any(one.poll() is None for one in packs):
        pair = [own.start("gc", "--cache", "--older-than-s", "0") for _ in range(2)]
        for one in pair:
            said, _ = one.communicate(timeout=120)
            assert one.returncode == 0, said
            collections += 1
    for one in packs:
        said, _ = one.communicate(timeout=120)
        assert one.returncode == 0, said
    assert collections
    names = {one["name"]: one["digest"] for one in own.json("list")}
    assert names["same:0"] == names["same:1"] == expected
    assert names["other:1"] != expected
    assert own.json("fsck")["issues"] == []
    own("gc", "--cache", "--older-than-s", "0")
    assert own.json("fsck")["issues"] == []
    # nothing is left of whoever was at work
    assert not list((own.home / "store/.ingest").iterdir())


def test_exporting_goes_on_while_the_package_is_removed_and_collected(lading, tmp_path):
    folder = tmp_path / "echo"
    folder.mkdir()
    (folder / "score.py").write_text("def run(data):\n    return data\n")
    lading("pack", folder, "-t", "echo:beside", "--no-verify")
    own = Lading(tmp_path / "home")
    shutil.copytree(lading.home / "store", own.home / "store")
    for name in own.json("list"):
        if name["name"] != "echo:beside":
            own("rm", name["name"])
    exports = [own.start("export", "echo:beside", tmp_path / f"{number}.tar") for number in range(3)]
    while any(one.poll() is None for one in exports):
        own("gc", "--cache", "--older-than-s", "0")
        own.run("rm", "echo:beside") if any(path.exists() for path in tmp_path.glob(".*tar-*")) else None
    for one in exports:
        said, _ = one.communicate(timeout=60)
        # who came after the removal is told so; who had begun ends well
        assert one.returncode == 0 or "is not in the store" in said, said
    made = [path.read_bytes() for path in tmp_path.glob("*.tar")]
    assert all(data == made[0] for data in made)
    assert subprocess.run(["tar", "tf", next(tmp_path.glob("*.tar"))], check=False, stdout=-3).returncode == 0
