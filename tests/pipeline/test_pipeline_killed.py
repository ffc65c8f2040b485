"""Killed with SIGKILL at every point: the store passes its own check, and the same command then succeeds."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

KILLING = Path(__file__).parents[1] / "killing.py"
SEED = int(os.environ.get("LADING_TEST_SEED", "20"))


def trials(kind, count, home, folder="", registry=""):
    """Run a kind of work this many times, each killed once; return what was seen."""
    command = [sys.executable, KILLING, kind, home, folder or home, "--trials", str(count)]
    command += ["--seed", str(SEED), "--registry", registry]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout)


def survives(seen, count):
    assert seen["failures"] == [], json.dumps(seen["failures"][:5], indent=1)
    # some die of old age: what is killed after a time may be done by then
    assert seen["killed"] > count * 0.7


FEW = {"begin": 40, "gc": 80, "name": 40, "pack": 40, "push": 30, "pull": 30}
MANY = {"begin": 500, "gc": 1000, "name": 500, "pack": 500, "push": 500, "pull": 500}


def counts(*kinds):
    """Give the trials of some kinds of work: a few, and, when there is time, many."""
    return [
        *(pytest.param(kind, FEW[kind], id=kind) for kind in kinds),
        *(
            pytest.param(
                kind, MANY[kind], id=f"{kind}-often", marks=[pytest.mark.slow, pytest.mark.timeout(3000)]
            )
            for kind in kinds
        ),
    ]


@pytest.mark.parametrize(("kind", "count"), counts("begin", "gc", "name"))
def test_beginning_collecting_and_naming_may_be_killed_at_any_point(kind, count, tmp_path):
    survives(trials(kind, count, tmp_path / "home"), count)


@pytest.mark.parametrize(("kind", "count"), counts("push", "pull"))
def test_pushing_and_pulling_may_be_killed_at_any_point(kind, count, tmp_path, registry):
    survives(trials(kind, count, tmp_path / "home", registry=registry.host), count)


@pytest.fixture(scope="module")
def routine(echo, tmp_path_factory):
    """A routine and a home where everything that it needs is cached, but nothing of itself."""
    home, folder = echo
    own = home.copy(tmp_path_factory.mktemp("killed") / "home")
    own("tag", "echo:1", "echo:0")
    own("untag", "echo:1")
    shutil.rmtree(own.home / "cache/downloads")
    return own.home, folder


@pytest.mark.network
@pytest.mark.parametrize(("kind", "count"), counts("pack"))
def test_packing_may_be_killed_at_any_point(kind, count, routine, tmp_path):
    home, folder = routine
    shutil.copytree(home, tmp_path / "home", symlinks=True)
    survives(trials(kind, count, tmp_path / "home", folder), count)


@pytest.mark.network
@pytest.mark.slow
def test_packing_with_verification_may_be_killed_at_any_point(routine, tmp_path):
    home, folder = routine
    shutil.copytree(home, tmp_path / "home", symlinks=True)
    survives(trials("verify", 60, tmp_path / "home", folder), 60)
