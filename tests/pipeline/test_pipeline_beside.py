"""Many ladings at once in one home: packing the same and different models, beside collection in a loop."""

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.network


def test_packs_and_collections_at_once_all_succeed_with_one_digest(echo, tmp_path):
    home, folder = echo
    same = shutil.copytree(folder, tmp_path / "same/echo")
    other = shutil.copytree(folder, tmp_path / "other/echo")
    (other / "score.py").write_text("def run(data):\n    return [data]\n")
    own = home.copy(tmp_path / "home", "cache/downloads", linked=True)
    packs = [own.start("pack", same, "-t", f"same:{number}", "--no-verify") for number in range(2)]
    packs += [own.start("pack", other, "-t", "other:1", "--no-verify")]
    collections = 0
    with ThreadPoolExecutor(2) as crowd:
        while any(one.poll() is None for one in packs):
            for said in crowd.map(lambda _: own("gc", "--cache", "--older-than-s", "0"), range(2)):
                assert said
                collections += 1
            time.sleep(0.2)
    for one in packs:
        said, _ = one.communicate(timeout=120)
        assert one.returncode == 0, said
    assert collections
    names = {one["name"]: one["digest"] for one in own.json("list")}
    # the shared home has another lock: a release may have come out since
    assert names["same:0"] == names["same:1"] != names["other:1"]
    assert own.json("fsck")["issues"] == []
    own("gc", "--cache", "--older-than-s", "0")
    assert own.json("fsck")["issues"] == []
    # nothing is left of whoever was at work
    assert not list((own.home / "store/.ingest").iterdir())


def test_exporting_goes_on_while_the_package_is_removed_and_collected(echo, tmp_path):
    home, _ = echo
    own = home.copy(tmp_path / "home", "store", linked=True)
    exports = [own.start("export", "echo:1", tmp_path / f"{number}.tar") for number in range(3)]
    while any(one.poll() is None for one in exports):
        own("gc", "--cache", "--older-than-s", "0")
        own.run("rm", "echo:1") if any(path.exists() for path in tmp_path.glob(".*tar-*")) else None
    for one in exports:
        said, _ = one.communicate(timeout=60)
        # who came after the removal is told so; who had begun ends well
        assert one.returncode == 0 or "is not in the store" in said, said
    made = [path.read_bytes() for path in tmp_path.glob("*.tar")]
    assert all(data == made[0] for data in made)
    assert subprocess.run(["tar", "tf", next(tmp_path.glob("*.tar"))], check=False, stdout=-3).returncode == 0
