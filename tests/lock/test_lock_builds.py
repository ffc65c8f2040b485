"""A library in several builds: which one a package takes, and that the author's own word is kept."""

from dataclasses import replace

import pytest

from lading.core.model import Requirement
from lading.lock import build_for


@pytest.mark.parametrize(
    ("told", "accelerator", "taken"),
    [
        ("xgboost==3.2.0", None, "xgboost-cpu==3.2.0"),
        ("xgboost==3.2.0", "cpu", "xgboost-cpu==3.2.0"),
        ("xgboost==3.2.0", "cu128", "xgboost==3.2.0"),
        ("xgboost==1.7.6", None, "xgboost==1.7.6"),
        ("xgboost>=1.7,<3.1", None, "xgboost-cpu>=1.7,<3.1"),
        ("xgboost<2", None, "xgboost<2"),
        ("xgboost", None, "xgboost-cpu"),
        ("tensorflow==2.21.0", None, "tensorflow-cpu==2.21.0"),
        ("tensorflow==2.15.*", "cpu", "tensorflow-cpu==2.15.*"),
        ("tensorflow==2.21.0", "cu126", "tensorflow==2.21.0"),
        ("onnxruntime==1.30.0", "cu126", "onnxruntime-gpu[cuda,cudnn]==1.30.0"),
        ("onnxruntime==1.30.0", None, "onnxruntime==1.30.0"),
        ("scikit-learn<1.6", "cu126", "scikit-learn<1.6"),
    ],
)
def test_the_build_follows_from_the_accelerator(told, accelerator, taken):
    assert build_for(told, accelerator) == taken


def test_a_build_that_the_author_names_is_the_only_one(smith, ask, lock_of):
    smith.wheel("xgboost", "3.0")
    smith.wheel("xgboost-cpu", "3.0")
    asked = ask("xgboost")
    question = replace(asked, requirements=(*asked.requirements, Requirement("xgboost-cpu==3.0", "file")))
    (part,) = lock_of(question).platforms
    assert [one.name for one in part.model] == ["xgboost"]
