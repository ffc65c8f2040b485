"""What `lading diff` says of real packages."""

import json

import pytest

from running import Lading

pytestmark = pytest.mark.network

CODE = """\
import json, pathlib
def init():
    global factor
    factor = json.loads(pathlib.Path(__file__).with_name("factor.json").read_text())
def run(data):
    return [factor * one for one in data]
"""


def write(folder, factor, inputs, **spec):
    """Write a routine that multiplies, and what it answered."""
    folder.mkdir()
    (folder / "factor.json").write_text(json.dumps(factor))
    (folder / "score.py").write_text(CODE)
    example = {"inputs": inputs, "outputs": [factor * one for one in inputs]}
    (folder / "lading.yaml").write_text(json.dumps({"name": "times", "example": example, **spec}))
    return folder


@pytest.fixture(scope="module")
def packed(lading, tmp_path_factory):
    folder = tmp_path_factory.mktemp("diff")
    for name, factor, inputs, spec in (
        ("double", 2, [1, 2, 3], {}),
        ("triple", 3, [1, 2, 3], {"environment_variables": {"OMP_NUM_THREADS": "1"}}),
        ("other", 2, [5], {"version": "2"}),
    ):
        lading("pack", write(folder / name, factor, inputs, **spec), "-t", f"times:{name}", "--no-verify")
    return lading


def test_a_package_does_not_differ_from_itself(packed):
    assert "the same package" in packed("diff", "times:double", "times:double", "--fail-if", "differ")
    assert packed.json("diff", "times:double", "times:double")["same"] is True


def test_other_predictions_for_the_same_requests_are_noticed(packed):
    text = packed("diff", "times:double", "times:triple")
    assert "would a client notice?  yes" in text
    assert "3 of 3 recorded predictions differ for the same requests: row 0: 2 → 3" in text
    assert "OMP_NUM_THREADS" in text
    assert "factor.json" in text


def test_other_examples_alone_are_not_noticed(packed):
    found = packed.json("diff", "times:double", "times:other")
    assert {one["part"] for one in found["changes"]} == {"package", "example"}
    assert (found["client_would_notice"], found["answers"]) == ("no", None)
    assert found["layers"]["shared"]["count"] > 30
    assert found["before"]["digest"] != found["after"]["digest"]


@pytest.mark.parametrize(
    ("other", "condition", "status"),
    [("triple", "yes", 6), ("triple", "maybe", 6), ("other", "maybe", 0), ("other", "differ", 6)],
)
def test_the_exit_status_tells_where_it_is_asked_to(packed, other, condition, status):
    done = packed.run("diff", "times:double", f"times:{other}", "--fail-if", condition)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False)
    assert packed.run("diff", "times:double", f"times:{other}").returncode == 0


def test_a_package_in_a_registry_is_compared_without_its_layers(packed, registry, tmp_path):
    there = f"{registry.host}/team/times:double"
    packed("push", "times:double", there)
    other = Lading(tmp_path / "home")
    found = other.json("diff", there, there)
    assert (found["same"], found["answers"]["rows"]) == (True, 3)
    assert not list((other.home / "store").rglob("sha256/*"))
    local, remote = (packed.json("diff", name, "times:triple") for name in ("times:double", there))
    assert remote == local


def test_a_package_that_is_not_there_is_named(packed):
    assert "times:doubl" in packed.fails(8, "diff", "times:doubl", "times:double")
