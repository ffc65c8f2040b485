"""Which Python the resolver is asked for: the author's word, then the model's, then the one that runs."""

import sys
from pathlib import Path

import pytest

from lading.core.model import ModelFacts, Requirement
from lading.core.spec import PackageSpec
from lading.pipeline.context import Context
from lading.pipeline.plan import python_told, question
from lading.settings import Settings

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = "3.12" if HERE != "3.12" else "3.13"


@pytest.fixture
def asked(tmp_path):
    """Return the Python of the question about a pickle, and whether a file told it."""

    def ask(conda=None, *, is_author_s=True, saved=None, python=None):
        file = tmp_path / "conda.yaml" if conda else None
        if file:
            file.write_text(f"dependencies: [{conda}, numpy]\n")
        facts = ModelFacts(
            root=tmp_path / "model.pkl",
            format="sklearn",
            flavour="sklearn",
            loader="pickle",
            python=saved,
            requirements=(Requirement("numpy==2.0", "installed"),),
            requirements_file=None if is_author_s else file,
        )
        what = PackageSpec(model=facts.root, requirements=file if is_author_s else None, python=python)
        with Context(Settings(Path("/nowhere"))) as context:
            return question(context, what, facts).python, python_told(context, what, facts)

    return ask


@pytest.mark.parametrize("is_author_s", [True, False])
def test_a_conda_file_says_which_python_and_not_the_one_that_packs(asked, is_author_s):
    assert asked(f"python={OTHER}", is_author_s=is_author_s) == (None, True)
    assert asked("python>=3.99", is_author_s=is_author_s) == (None, False)


def test_what_a_conda_file_leaves_open_is_the_python_that_saved_the_model_or_packs_it(asked):
    assert asked() == (HERE, False)
    assert asked("pip") == (HERE, False)
    assert asked("python>=3.8") == (HERE, False)
    assert asked("pip", saved="3.9.7") == ("3.9", True)


def test_the_author_s_word_comes_before_the_model_s(asked):
    assert asked(f"python={OTHER}", saved="3.9.7") == (None, True)
    assert asked("python=3.9", is_author_s=False, saved="3.9.7") == ("3.9", True)
    assert asked(f"python={OTHER}", python="3.10") == ("3.10", True)
