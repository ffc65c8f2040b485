"""A format that a distribution brings, the whole way: the package has it, and its module loads the model."""

import json
import os
import re
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest

from smithing import Wheelsmith

ENTRY = "[lading.formats]\nscorecard = scorecards.lading:FORMAT\n"
PAGE = Path(__file__).parents[2] / "docs" / "formats.md"

pytestmark = pytest.mark.network


def documented(name):
    """Return a module that the docs give as an example."""
    return re.search(rf"```python\n(# scorecards/{name}\.py.*?)```", PAGE.read_text(), re.DOTALL)[1]


@pytest.fixture
def scorecards(tmp_path):
    """Build the wheel of the docs' distribution, and install it in a folder."""
    files = {
        "scorecards/__init__.py": "",
        "scorecards/lading.py": documented("lading"),
        "scorecards/loading.py": documented("loading"),
        "scorecards-1.0.dist-info/entry_points.txt": ENTRY,
    }
    wheel = Wheelsmith(tmp_path / "links").wheel("scorecards", "1.0", "numpy", files=files)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    return tmp_path


def test_a_format_of_anothers_is_packed_verified_and_answers(lading, scorecards, monkeypatch):
    folder = scorecards / "model"
    folder.mkdir()
    (folder / "risk.scorecard").write_text('{"points": {"age": 2.0, "debt": -1.0}}')
    rows = {"columns": ["age", "debt"], "data": [[1.0, 2.0], [3.0, 0.5]]}
    (folder / "inputs.json").write_text(json.dumps({"dataframe_split": rows}))
    (folder / "outputs.json").write_text("[0.0, 5.5]")
    spec = {
        "name": "risk",
        "model": "risk.scorecard",
        "indexes": {"find_links": [str(scorecards / "links")]},
        "example": {"inputs": "inputs.json", "outputs": "outputs.json"},
        "compile": "off",
    }
    (folder / "lading.yaml").write_text(json.dumps(spec))
    path = [str(scorecards / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setitem(lading.env, "PYTHONPATH", os.pathsep.join(path))
    packed = lading.json("pack", folder, "-t", "risk:1")
    assert (packed["report"]["passed"], packed["report"]["matched"]) == (True, 2)
    bill = lading.json("show", "risk:1")["bill"]
    assert (bill["model"]["format"], bill["model"]["loader"]) == ("scorecard", "scorecards.loading")
    assert {one["name"] for one in bill["environment"]["packages"]} == {"scorecards", "numpy"}


OLD = ("xgboost==1.7.6", "numpy<2", "scipy<1.14", "scikit-learn<1.6", "pandas<3")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Make an environment of some distributions, once."""

    @cache
    def environment(*requirements):
        folder = tmp_path_factory.mktemp("trained") / "env"
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        env = {**os.environ, "VIRTUAL_ENV": str(folder)}
        subprocess.run([uv, "pip", "install", "--quiet", *requirements], check=True, env=env)
        return folder / "bin" / "python"

    return environment


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "case",
    [
        ("catboost_categories", ("catboost",), "catboost"),
        ("catboost_json", ("catboost",), "catboost"),
        ("xgboost_binary", OLD, "xgboost-cpu"),
        ("xgboost_ubj", OLD, "xgboost"),
    ],
)
def test_a_model_of_a_library_of_its_own_answers_as_it_did_where_it_was_trained(
    lading, environment, tmp_path, case
):
    name, requirements, distribution = case
    program = Path(__file__).with_name("train_formats.py")
    subprocess.run([environment(*requirements), program, name, tmp_path], check=True, cwd=tmp_path)
    packed = lading.json("pack", tmp_path, "-t", "trained:1")
    assert (packed["report"]["passed"], packed["report"]["matched"]) == (True, 60)
    bill = lading.json("show", "trained:1")["bill"]
    assert distribution in {one["name"] for one in bill["environment"]["packages"]}
