"""Where the estimator lies: files, folders, neighbours, and what is none."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
import xgboost
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.linear_model import LinearRegression
from xgboost import XGBClassifier

from lading.core.errors import ModelError
from lading.core.model import Requirement
from lading.model import inspect

MODEL = pickle.dumps(LinearRegression())


def test_a_file_is_known_by_its_content_not_its_suffix(write):
    facts = inspect(write("model.txt", MODEL))
    assert facts.format == "sklearn"
    assert facts.loader == "pickle"
    assert facts.loader_options["file"] == "model.txt"
    assert [one.path for one in facts.files] == ["model.txt"]


def test_a_folder_may_hold_data_beside_the_estimator(write):
    write("m/model.bin", MODEL)
    write("m/names.pkl", pickle.dumps(["a", "b"]))
    write("m/sub/notes.txt", "xylophone: begins like zlib")
    facts = inspect(write("m/readme.md", "# model").parent)
    assert facts.loader_options["file"] == "model.bin"
    assert [one.path for one in facts.files] == ["model.bin", "names.pkl", "readme.md", "sub/notes.txt"]


@pytest.mark.parametrize("protocol", range(6))
def test_a_folder_is_searched_for_every_protocol(protocol, write):
    facts = inspect(write("m/model.bin", pickle.dumps(LinearRegression(), protocol)).parent)
    assert facts.loader_options["file"] == "model.bin"


def test_several_estimators_are_named(write):
    write("m/one.pkl", MODEL)
    folder = write("m/two.joblib", gzip.compress(MODEL)).parent
    with pytest.raises(ModelError, match=r"2 estimators: 'one.pkl', 'two.joblib'"):
        inspect(folder)


@pytest.mark.parametrize(
    ("value", "kind"),
    [({"model": 1}, "a dict"), ([1], "a list"), ("text", "a text"), ((1,), "a tuple"), (3, "something")],
)
def test_what_is_no_estimator_is_named(value, kind, write):
    with pytest.raises(ModelError, match=f"holds {kind}"):
        inspect(write("model.pkl", pickle.dumps(value)))


def test_all_broken_files_of_a_folder_are_reported_at_once(write):
    write("m/one.pkl", MODEL[:-20])
    folder = write("m/two.pkl", pickle.dumps([1])).parent
    with pytest.raises(ModelError) as caught:
        inspect(folder)
    assert [issue.where.partition(":")[0] for issue in caught.value.issues] == ["one.pkl", "two.pkl"]


@pytest.mark.parametrize("cut", [3, 40, len(MODEL) - 1])
def test_a_truncated_file_says_so(cut, write):
    with pytest.raises(ModelError, match="ends in the middle"):
        inspect(write("model.pkl", MODEL[:cut]))


def test_a_truncated_compressed_file_says_so(tmp_path, write):
    joblib.dump(LinearRegression(), tmp_path / "whole", compress=3)
    with pytest.raises(ModelError, match="ends too early"):
        inspect(write("cut", (tmp_path / "whole").read_bytes()[:-30]))


def test_an_empty_file_says_so(write):
    with pytest.raises(ModelError, match="the file is empty"):
        inspect(write("model.pkl", b""))


@pytest.mark.parametrize(
    "data", [b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"hello, world\n", b"\x00" * 100, b"<html>"]
)
def test_another_format_is_a_model_error(data, write):
    with pytest.raises(ModelError) as caught:
        inspect(write("model.pkl", data))
    assert caught.value.issues[0].fix


def test_a_pointer_that_git_left_in_place_of_the_file_is_told(write):
    with pytest.raises(ModelError, match="pointer of Git LFS"):
        inspect(write("model.pkl", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"))


def test_a_folder_without_a_model_says_what_was_expected(write):
    with pytest.raises(ModelError, match="MLflow model folder"):
        inspect(write("m/data.csv", "a,b").parent)


def test_requirements_beside_the_estimator_are_the_authors_word(write):
    write("m/model.pkl", MODEL)
    file = write("m/requirements.txt", "scikit-learn\n")
    facts = inspect(file.parent)
    assert facts.requirements_file == file
    assert facts.requirements == ()


def test_an_estimator_of_another_library_is_named_after_it(write):
    body = b"\x80\x04\x8c\x0fxgboost.testing\x8c\x0dXGBClassifier\x93)\x81}b."
    facts = inspect(write("model.pkl", body))
    assert facts.flavour == "xgboost XGBClassifier"
    assert [risk.name for risk in facts.risks] == ["xgboost.testing.XGBClassifier"]
    # what such a class takes is not known, and may be a table
    assert [one.text for one in facts.requirements] == ["pandas", f"xgboost=={xgboost.__version__}"]


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_boosters_of_other_libraries_are_theirs_to_load(write, library):
    x, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 3
    settings = {"n_estimators": 2, "n_jobs": 1}
    kinds = {"xgboost": XGBClassifier(**settings), "lightgbm": LGBMClassifier(**settings, verbose=-1)}
    facts = inspect(write("model.pkl", pickle.dumps(kinds[library].fit(x, y))))
    assert (facts.flavour.split()[0], facts.risks) == (library, ())


def test_a_plain_pickle_that_was_compressed_is_read_by_joblib(write):
    facts = inspect(write("model.pkl.gz", gzip.compress(MODEL)))
    assert facts.loader_options["serialization"] == "joblib"
    assert any(one.text.startswith("joblib") for one in facts.requirements)


def test_what_lz4_has_compressed_brings_lz4(tmp_path):
    joblib.dump(pickle.loads(MODEL), tmp_path / "model", compress="lz4")
    assert "lz4" in [one.text.partition("=")[0] for one in inspect(tmp_path / "model").requirements]


def test_a_booster_of_lightgbm_brings_scikit_learn_and_one_of_xgboost_the_release_that_it_tells(iris, write):
    rows, labels = iris
    lightgbm = inspect(write("l.pkl", pickle.dumps(LGBMRegressor(n_estimators=1).fit(rows, labels))))
    assert [one.text.partition("=")[0] for one in lightgbm.requirements] == ["lightgbm", "scikit-learn"]
    for protocol in (0, 2, 5):
        data = pickle.dumps(XGBClassifier(n_estimators=1).fit(rows, labels), protocol)
        facts = inspect(write("x.pkl.gz", gzip.compress(data)))
        assert Requirement(f"xgboost=={xgboost.__version__}", "file") in facts.requirements


def test_catboosts_estimators_are_known_and_tell_their_release():
    facts = inspect(Path(__file__).parent / "samples" / "catboost-regressor.pkl")
    assert (facts.flavour, facts.risks) == ("catboost CatBoostRegressor", ())
    assert "catboost==1.2.10" in [one.text for one in facts.requirements]
