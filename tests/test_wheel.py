"""The built wheel, in an environment that has nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from models import write_iris

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_data_and_runtime_and_nothing_of_the_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    wanted = {
        "lading/py.typed",
        "lading/spec/lading.schema.json",
        "lading/lock/debian-archive-keys.asc",
        "lading/lock/ubuntu-archive-keys.asc",
        "lading/model/allowlist_sklearn.txt",
        "lading/model/allowlist_statsmodels.txt",
        "lading_runtime/worker/boot.py",
    }
    assert wanted <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lading", "lading_runtime"}


def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path):
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, wheel], check=True)
    said = subprocess.run(
        [tmp_path / "venv/bin/lading", "--version"], check=True, capture_output=True, text=True
    )
    assert said.stdout.strip()
    model = write_iris(tmp_path / "iris") / "model.joblib"
    command = [tmp_path / "venv/bin/lading", "inspect", model]
    seen = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "LogisticRegression" in seen.stdout
