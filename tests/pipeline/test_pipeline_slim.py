"""Packages without what nothing in their wheels needs that runs."""

import json
import tarfile

import pytest

from smithing import Wheelsmith

pytestmark = pytest.mark.network

SITE = "opt/lading/env/lib/python3.11/site-packages"
FILES = {
    "measure/__init__.py": "def twice(data):\n    return [2 * one for one in data]\n",
    "measure/_fast.pyx": "cdef int x\n",
    "measure/LICENSE.h": "/* as you like */\n",
    "measure/tests/__init__.py": "",
    "measure/tests/test_twice.py": "from measure import twice\n",
}
CODE = "import measure\ndef run(data):\n    return measure.twice(data)\n"
HIDDEN = "__import__('measure.te' + 'sts')\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return what writes a routine that needs a library, whose wheel it makes."""

    def project(**files):
        folder = tmp_path_factory.mktemp("measured")
        Wheelsmith(folder / "links").wheel("measure", "1.0", files={**FILES, **files})
        (folder / "score.py").write_text(CODE)
        spec = {"model": "score.py", "requirements": ["measure"], "indexes": {"find_links": ["links"]}}
        spec |= {"example": {"inputs": [1, 2.5], "outputs": [2, 5.0]}}
        (folder / "lading.yaml").write_text(json.dumps(spec))
        return folder

    return project


@pytest.fixture(scope="module")
def measured(lading, project):
    """A package whole, slim by the command line, slim by its spec, and whole again."""
    folder = project()
    whole = lading.json("pack", folder, "-t", "measured:whole", "--no-verify")
    slim = lading.json("pack", folder, "-t", "measured:slim", "--slim")
    spec = json.loads((folder / "lading.yaml").read_text())
    (folder / "lading.yaml").write_text(json.dumps({**spec, "slim": True}))
    told = lading.json("pack", folder, "-t", "measured:told", "--no-verify")
    again = lading.json("pack", folder, "-t", "measured:again", "--no-verify", "--no-slim")
    return whole, slim, told, again


def installed(lading, name):
    """List a package's files of the library."""
    bill = lading.json("show", name)["bill"]
    (layer,) = (one for one in bill["layers"] if one["title"] == "measure 1.0")
    with tarfile.open(lading.home / "store/blobs" / layer["digest"].replace(":", "/")) as archive:
        names = {one.name.removeprefix(f"{SITE}/") for one in archive if one.isfile()}
        record = archive.extractfile(f"{SITE}/measure-1.0.dist-info/RECORD").read().decode()
    assert {line.partition(",")[0] for line in record.splitlines()} == names
    return {name for name in names if ".dist-info" not in name}


def test_a_slim_package_answers_as_the_whole_one_and_tells_what_it_is_without(lading, measured):
    _, slim, _, _ = measured
    assert (slim["report"]["passed"], slim["report"]["matched"]) == (True, 2)
    rows = {(one["name"], one["kind"]): (one["files"], one["size_bytes"]) for one in slim["slim"]}
    tests = sum(len(text) for name, text in FILES.items() if "tests" in name)
    assert rows == {("measure", "sources"): (1, 11), ("measure", "tests"): (2, tests)}
    assert installed(lading, "measured:whole") == set(FILES)
    assert installed(lading, "measured:slim") == {"measure/__init__.py", "measure/LICENSE.h"}
    assert lading.json("show", "measured:slim")["bill"]["environment"]["slim"] == slim["slim"]
    assert "left out of the wheels: of measure" in lading("show", "measured:slim")
    compared = lading.json("diff", "measured:whole", "measured:slim")
    assert compared["client_would_notice"] == "no"
    assert [one["name"] for one in compared["changes"]] == ["slim"]


def test_slim_and_whole_are_never_mixed(lading, measured):
    whole, slim, told, again = measured
    assert whole["digest"] == again["digest"] != slim["digest"] == told["digest"]
    assert "slim" not in whole
    assert "slim" not in lading.json("show", "measured:whole")["bill"]["environment"]


def test_a_slim_package_is_made_again_from_itself(lading, measured):
    made = lading.json("rebuild", "measured:slim", "--tag", "measured:made", "--no-verify")
    assert made["digest"] == measured[1]["digest"]


def test_what_is_laid_upon_a_slim_environment_is_slim_with_its_very_layers(lading, measured, tmp_path):
    (tmp_path / "score.py").write_text(CODE + "# other\n")
    base = ("--base", "environment:measured:slim", "--offline", "--no-verify")
    lading("pack", tmp_path / "score.py", "-t", "upon:slim", *base)
    upon, below = (lading.json("show", one)["bill"] for one in ("upon:slim", "measured:slim"))
    assert upon["environment"]["slim"] == below["environment"]["slim"]
    kinds = {"environment", "server"}
    shared = [one for one in below["layers"] if one["kind"] in kinds]
    assert [one for one in upon["layers"] if one["kind"] in kinds] == shared


def test_a_library_that_needs_its_tests_is_told_of_with_the_way_out(lading, project):
    folder = project(**{"measure/__init__.py": HIDDEN + FILES["measure/__init__.py"]})
    done = lading.run("pack", folder, "-t", "needy:1", "--slim")
    assert done.returncode == 6
    assert "No module named 'measure.tests'" in done.stderr
    assert "pack it without --slim" in done.stderr
