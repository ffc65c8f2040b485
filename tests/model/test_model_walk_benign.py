from __future__ import annotations

import io
import pickle

import cloudpickle
import joblib
import pytest
from scipy import stats
from sklearn import linear_model, model_selection

from lading.model import inspect

KINDS = [
    *(
        "forest",
        "logistic",
        "columns",
        "boosting",
        "boosted_regression",
        "histograms",
        "svc",
        "neighbours",
        "pca",
    ),
    *(
        "kmeans",
        "search",
        "voting",
        "calibrated",
        "perceptron",
        "text",
        "logarithm",
        "outliers",
        "random_state",
    ),
    *("two_targets", "chained", "stacking", "by_index"),
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_a_pickled_estimator_has_no_risks(kind, protocol, estimators, write):
    facts = inspect(write("model.bin", pickle.dumps(estimators[kind], protocol)))
    assert facts.risks == ()
    assert facts.flavour == f"sklearn {type(estimators[kind]).__name__}"
    assert facts.loader_options["serialization"] == "pickle"
    assert f"pickle protocol {protocol}" in facts.notes


@pytest.mark.parametrize("kind", KINDS)
def test_a_joblib_file_has_no_risks(kind, estimators, tmp_path):
    joblib.dump(estimators[kind], tmp_path / "model")
    facts = inspect(tmp_path / "model")
    assert facts.risks == ()
    assert facts.flavour == f"sklearn {type(estimators[kind]).__name__}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_cloudpickled_estimator_has_no_risks(kind, estimators, write):
    facts = inspect(write("model.pkl", cloudpickle.dumps(estimators[kind])))
    assert facts.risks == ()


@pytest.mark.parametrize("compressor", ["zlib", "gzip", "bz2", "lzma", "xz", "lz4"])
@pytest.mark.parametrize("kind", ["forest", "columns"])
def test_a_compressed_joblib_file_has_no_risks(kind, compressor, estimators, tmp_path):
    joblib.dump(estimators[kind], tmp_path / "model", compress=(compressor, 3))
    facts = inspect(tmp_path / "model")
    assert facts.risks == ()
    assert facts.loader_options["serialization"] == "joblib"
    assert f"joblib, compressed by {compressor}" in facts.notes


@pytest.mark.parametrize("protocol", range(6))
def test_joblib_writes_every_protocol(protocol, estimators, tmp_path):
    joblib.dump(estimators["columns"], tmp_path / "model", protocol=protocol)
    facts = inspect(tmp_path / "model")
    assert facts.risks == ()
    assert facts.loader_options["serialization"] == "joblib"


def test_the_python_pickler_writes_the_same_facts(estimators, write):
    stream = io.BytesIO()
    pickle._Pickler(stream, 5).dump(estimators["forest"])
    pure = inspect(write("a/model.pkl", stream.getvalue()))
    fast = inspect(write("b/model.pkl", pickle.dumps(estimators["forest"], 5)))
    assert (pure.signature, pure.requirements, pure.risks) == (fast.signature, fast.requirements, fast.risks)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_search_may_hold_what_it_drew_from(protocol, iris, write):
    drawn = {
        "C": stats.loguniform(0.1, 10),
        "tol": stats.uniform(1e-4, 1e-3),
        "intercept_scaling": stats.expon(),
    }
    search = model_selection.RandomizedSearchCV(
        linear_model.LogisticRegression(max_iter=200), drawn, n_iter=1, cv=2, random_state=0
    )
    data = pickle.dumps(search.fit(*iris), protocol)
    assert inspect(write("model.pkl", data)).risks == ()
    other = data.replace(b"return (a, b, ), loc", b"return (a, a, ), loc")
    names = [risk.name for risk in inspect(write("other.pkl", other)).risks]
    assert names == ["scipy.stats._continuous_distns.reciprocal_gen"]


def test_of_what_holds_methods_a_search_is_told_to_do_without(write):
    risks = inspect(write("model.pkl", pickle.dumps(stats.randint(1, 10)))).risks
    assert any("save its best_estimator_ alone" in risk.why for risk in risks)
