"""Models that Prophet and spaCy saved, packaged: they answer as the library does."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from training import environment

SAMPLES = Path(__file__).parents[1] / "model" / "samples"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def trained(program, folder, *requirements):
    """Run a program that makes the samples in an environment of its own; return what models answer."""
    place = environment(folder / "env", *requirements)
    subprocess.run([place / "bin" / "python", SAMPLES / program, folder], check=True, capture_output=True)
    shutil.rmtree(place)
    return folder, json.loads((folder / "answers.json").read_text())


@pytest.fixture(scope="session")
def prophet(tmp_path_factory):
    return trained("make_prophet.py", tmp_path_factory.mktemp("prophet"), "prophet==1.5.0", "pandas<3")


@pytest.fixture(scope="session")
def spacy(tmp_path_factory):
    return trained("make_spacy.py", tmp_path_factory.mktemp("spacy"), "spacy==3.8.18")


@pytest.fixture
def packed(lading, tmp_path):
    """Package a model with the library's own answers as its example; see them verified."""

    def packed(model, answers, **settings):
        inputs, outputs = answers
        spec = {"model": str(model), "example": {"inputs": inputs, "outputs": outputs}, **settings}
        (tmp_path / "lading.yaml").write_text(json.dumps(spec))
        done = lading.run("pack", tmp_path / "lading.yaml", "-t", f"libraries:{model.name.replace('.', '-')}")
        assert done.returncode == 0, done.stderr
        assert "recorded predictions match" in done.stderr, done.stderr

    return packed


@pytest.mark.parametrize("name", ["prophet.json", "prophet.pr", "prophet_bounded.json"])
def test_prophets_models_answer_as_prophet_does(name, prophet, packed):
    folder, answers = prophet
    packed(folder / name, answers[name])


@pytest.mark.parametrize("name", ["cats", "rules", "own"])
def test_spacys_pipelines_answer_as_spacy_does(name, spacy, packed):
    folder, answers = spacy
    packed(folder / name, answers[name], **({"code": str(folder / "shouting.py")} if name == "own" else {}))
