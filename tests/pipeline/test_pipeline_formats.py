"""A format that a distribution brings, the whole way: the package has it, and its module loads the model."""

import json
import os
import re
import zipfile
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
