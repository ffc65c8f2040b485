"""What can be told of an estimator without loading it: its signature, version, requirements."""

from __future__ import annotations

import importlib
import importlib.metadata
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn import (
    compose,
    cross_decomposition,
    ensemble,
    feature_extraction,
    gaussian_process,
    kernel_ridge,
    linear_model,
    multiclass,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
)

from lading.core.signature import Field, Signature
from lading.model import inspect

IRIS = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
NUMBERS = tuple(Field("double", name) for name in IRIS)
COUNT = Field("tensor", dtype="int64", shape=(-1,))
NUMBER = Field("tensor", dtype="float64", shape=(-1,))


@pytest.fixture
def facts_of(write):
    def facts_of(model, **options):
        return inspect(write("model.pkl", pickle.dumps(model)), **options)

    return facts_of


@pytest.mark.parametrize(
    ("kind", "inputs", "outputs"),
    [
        ("forest", NUMBERS, (COUNT,)),
        ("logistic", NUMBERS, (Field("string"),)),
        ("columns", (*NUMBERS, Field("string", "colour"), Field("any", "weight", required=False)), (COUNT,)),
        ("boosted_regression", NUMBERS, (NUMBER,)),
        ("histograms", NUMBERS, (COUNT,)),
        ("svc", (Field("tensor", dtype="float64", shape=(-1, 4)),), (COUNT,)),
        ("pca", (Field("tensor", dtype="float64", shape=(-1, 4)),), (NUMBER,)),
        ("kmeans", NUMBERS, (Field("tensor", dtype="int32", shape=(-1,)),)),
        ("search", NUMBERS, (COUNT,)),
        ("voting", NUMBERS, (COUNT,)),
        ("calibrated", NUMBERS, (COUNT,)),
        ("perceptron", NUMBERS, (COUNT,)),
        ("text", (Field("tensor", dtype="str", shape=(-1,)),), (COUNT,)),
        ("logarithm", NUMBERS, (NUMBER,)),
        ("outliers", NUMBERS, (COUNT,)),
        ("two_targets", NUMBERS, (Field("tensor", dtype="float64", shape=(-1, 2)),)),
        ("chained", NUMBERS, (Field("tensor", dtype="float64", shape=(-1, 3)),)),
        ("stacking", NUMBERS, (NUMBER,)),
    ],
)
def test_the_signature_is_told_by_the_learnt_attributes(kind, inputs, outputs, estimators, facts_of):
    assert facts_of(estimators[kind]).signature == Signature(inputs, outputs)


@pytest.mark.parametrize(
    "kind", ["forest", "logistic", "columns", "text", "kmeans", "chained", "boosted_regression"]
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_protocol_and_container_do_not_change_the_signature(kind, protocol, estimators, tmp_path):
    (tmp_path / "newest").write_bytes(pickle.dumps(estimators[kind]))
    (tmp_path / "pickled").write_bytes(pickle.dumps(estimators[kind], protocol))
    joblib.dump(estimators[kind], tmp_path / "joblib", protocol=protocol)
    expected = inspect(tmp_path / "newest").signature
    assert inspect(tmp_path / "pickled").signature == expected
    assert inspect(tmp_path / "joblib").signature == expected


@pytest.mark.parametrize(
    "kind", ["forest", "svc", "pca", "kmeans", "two_targets", "outliers", "chained", "search"]
)
def test_the_signature_is_what_the_estimator_does(kind, estimators, facts_of, iris):
    (output,) = facts_of(estimators[kind]).signature.outputs
    predicted = estimators[kind].predict(
        iris[0] if hasattr(estimators[kind], "feature_names_in_") else iris[0].to_numpy()
    )
    assert predicted.dtype == output.dtype
    assert predicted.shape[1:] == output.shape[1:]


def test_classes_may_be_booleans_or_several(facts_of, iris):
    rows, labels = iris[0][::5], iris[1][::5]
    assert facts_of(linear_model.LogisticRegression().fit(rows, labels > 0)).signature.outputs == (
        Field("tensor", dtype="bool", shape=(-1,)),
    )
    forest = ensemble.RandomForestClassifier(2).fit(rows, np.c_[labels, labels])
    assert facts_of(forest).signature.outputs == (Field("tensor", dtype="int64", shape=(-1, 2)),)


def test_several_labels_for_a_row_leave_the_outputs_open(facts_of, iris):
    rows, labels = iris[0][::5], iris[1][::5]
    model = neural_network.MLPClassifier((3,), solver="lbfgs", max_iter=2000).fit(
        rows, np.c_[labels > 0, labels > 1]
    )
    assert facts_of(model).signature.outputs == ()


@pytest.mark.parametrize(
    ("model", "targets", "outputs"),
    [
        (ensemble.BaggingRegressor(n_estimators=2), 2, (Field("tensor", dtype="float64", shape=(-1, 2)),)),
        (linear_model.RANSACRegressor(min_samples=5), 2, (Field("tensor", dtype="float64", shape=(-1, 2)),)),
        (kernel_ridge.KernelRidge(), 2, (Field("tensor", dtype="float64", shape=(-1, 2)),)),
        (kernel_ridge.KernelRidge(), 0, (NUMBER,)),
        (gaussian_process.GaussianProcessRegressor(optimizer=None), 1, (NUMBER,)),
        (cross_decomposition.PLSRegression(), 2, ()),
        (compose.TransformedTargetRegressor(linear_model.Ridge()), 1, ()),
        (compose.TransformedTargetRegressor(linear_model.Ridge()), 0, (NUMBER,)),
        (linear_model.SGDOneClassSVM(), 0, (Field("tensor", dtype="int32", shape=(-1,)),)),
    ],
)
def test_the_targets_that_a_regressor_was_fitted_on_shape_what_it_answers(model, targets, outputs, facts_of):
    rows = np.random.default_rng(0).normal(size=(30, 4))
    given = rows[:, :targets] * [2, 3][:targets] if targets else rows.sum(axis=1)
    fitted = model.fit(rows, given)
    assert facts_of(fitted).signature.outputs == outputs
    for output in outputs:
        predicted = fitted.predict(rows)
        assert (predicted.dtype, predicted.shape[1:]) == (output.dtype, output.shape[1:])


def test_counts_of_words_are_numbers_and_one_of_many_labels_is_left_open(facts_of, iris):
    counts = facts_of(feature_extraction.text.TfidfTransformer().fit(iris[0].to_numpy()))
    assert counts.signature.inputs == (Field("tensor", dtype="float64", shape=(-1, 4)),)
    labels = np.c_[iris[1] > 0, iris[1] > 1].astype(int)
    rest = multiclass.OneVsRestClassifier(linear_model.RidgeClassifier()).fit(iris[0], labels)
    assert facts_of(rest).signature.outputs == ()


def test_categories_tell_text_from_numbers(facts_of):
    rows = pd.DataFrame({"colour": ["red", "blue"], "size": [1, 2], "other": [0.5, 0.1]})
    columns = compose.ColumnTransformer(
        [("codes", preprocessing.OrdinalEncoder(), ["size", "colour"])], remainder="passthrough"
    )
    model = pipeline.make_pipeline(columns, linear_model.Ridge()).fit(rows, [0, 1])
    assert facts_of(model).signature.inputs == (
        Field("string", "colour"),
        Field("double", "size"),
        Field("double", "other"),
    )


def test_a_column_of_texts_is_a_string(facts_of):
    rows = pd.DataFrame({"review": ["good film", "bad film"], "stars": [5.0, 1.0]})
    columns = compose.ColumnTransformer(
        [("words", feature_extraction.text.TfidfVectorizer(), "review"), ("rest", "passthrough", ["stars"])]
    )
    model = pipeline.make_pipeline(columns, linear_model.Ridge()).fit(rows, [1, 0])
    assert [field.type for field in facts_of(model).signature.inputs] == ["string", "double"]


def test_a_transformer_is_asked_to_transform(facts_of, iris):
    facts = facts_of(preprocessing.StandardScaler().fit(iris[0]))
    assert facts.loader_options["method"] == "transform"
    assert facts.signature == Signature(NUMBERS, ())


def test_what_only_transforms_texts_is_asked_to_transform(facts_of):
    words = feature_extraction.text.TfidfVectorizer().fit(["a film", "a book"])
    assert facts_of(words).loader_options["method"] == "transform"


OWN = """\
from sklearn.base import BaseEstimator, TransformerMixin
class Encoder(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.feature_names_in_, self.n_features_in_ = list(X.columns), X.shape[1]
        return self
    def transform(self, X):
        return X[["size"]].assign(text=X["name"].str.len()).to_numpy()
class Wide(BaseEstimator):
    def fit(self, X, y=None):
        self.estimator_ = self.inner.fit([[one, one * one] for (one,) in X], y)
        self.classes_ = self.estimator_.classes_
        return self
"""


def test_what_an_own_class_takes_is_not_guessed_by_what_stands_behind_it(facts_of, tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("own")
    rows = pd.DataFrame({"size": [1, 2], "name": ["a", "bcd"]})
    model = pipeline.make_pipeline(own.Encoder(), linear_model.LogisticRegression()).fit(rows, [0, 1])
    facts = facts_of(model, code=tmp_path / "own.py")
    assert facts.signature.inputs == tuple(Field("any", name, required=False) for name in rows)
    assert "pandas" in {requirement.text.partition("==")[0] for requirement in facts.requirements}
    wide = own.Wide()
    wide.inner = linear_model.LogisticRegression()
    assert facts_of(wide.fit([[1.0], [2.0]], [0, 1]), code=tmp_path / "own.py").signature is None


def test_what_was_a_boolean_is_a_number_to_what_was_learnt(facts_of):
    rows = pd.DataFrame({"age": [1, 2], "member": [True, False]})
    facts = facts_of(linear_model.LogisticRegression().fit(rows, [0, 1]))
    assert [one.type for one in facts.signature.inputs] == ["double", "double"]
    assert facts.loader_options["truths"] is True


def test_an_estimator_that_tells_nothing_has_no_signature(facts_of):
    facts = facts_of(linear_model.LinearRegression())
    assert facts.signature is None
    assert not any("signature" in note for note in facts.notes)  # the summary says it already


def test_the_version_is_the_one_in_the_file(estimators, facts_of):
    facts = facts_of(estimators["forest"])
    assert facts.framework == "scikit-learn"
    assert facts.framework_version == importlib.metadata.version("scikit-learn")


def texts(facts):
    return {one.text.partition("=")[0].partition(">")[0].partition("<")[0]: one for one in facts.requirements}


def test_in_the_training_environment_the_rest_is_pinned_to_what_is_installed(estimators, facts_of):
    found = texts(facts_of(estimators["forest"]))
    assert found["scikit-learn"].origin == "pickle"
    assert found["scikit-learn"].text == f"scikit-learn=={importlib.metadata.version('scikit-learn')}"
    assert found["numpy"].origin == "installed"
    assert found["numpy"].text == f"numpy=={importlib.metadata.version('numpy')}"


def test_elsewhere_the_rest_is_left_open_but_for_what_the_names_tell(estimators, write):
    version = importlib.metadata.version("scikit-learn").encode()
    data = pickle.dumps(estimators["forest"], 2)
    assert data.count(version)
    elsewhere = data.replace(version, version[:-1] + b"z")
    found = texts(inspect(write("a", elsewhere)))
    assert found["scikit-learn"].text.endswith("z")
    assert found["numpy"].text == "numpy>=2"
    assert found["numpy"].origin == "pickle"
    older = elsewhere.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert texts(inspect(write("b", older)))["numpy"].text == "numpy<2"


def test_a_joblib_file_needs_a_joblib_that_knows_padding(estimators, tmp_path, write):
    joblib.dump(estimators["forest"], tmp_path / "model")
    assert texts(inspect(tmp_path / "model"))["joblib"].origin == "installed"
    version = importlib.metadata.version("scikit-learn").encode()
    elsewhere = (tmp_path / "model").read_bytes().replace(version, version[:-1] + b"z")
    assert texts(inspect(write("elsewhere", elsewhere)))["joblib"].text == "joblib>=1.2"


def test_pandas_is_needed_where_columns_are_picked_by_name(estimators, facts_of):
    assert "pandas" in texts(facts_of(estimators["columns"]))
    assert "pandas" in texts(facts_of(estimators["by_index"]))
    assert "pandas" not in texts(facts_of(estimators["forest"]))


def test_pandas_is_needed_where_frames_are_made(facts_of, iris):
    scaler = preprocessing.StandardScaler().set_output(transform="pandas")
    model = pipeline.make_pipeline(scaler, linear_model.Ridge()).fit(*iris)
    assert "pandas" in texts(facts_of(model))


def test_an_absurd_number_of_columns_is_not_believed(write):
    data = pickle.dumps(linear_model.LinearRegression().fit([[1.0, 2.0]], [1.0]), 2)
    name = b"n_features_in_q"
    at = data.index(name) + len(name) + 1
    assert data[at : at + 2] == b"K\x02"
    facts = inspect(write("model.pkl", data[:at] + b"J\xff\xff\xff\x7f" + data[at + 2 :]))
    assert facts.signature is None


def test_scipy_is_named_where_the_pickle_names_it(facts_of):
    model = neighbors.KNeighborsRegressor(1).fit(scipy.sparse.csr_matrix(np.eye(3)), [0, 1, 2])
    assert "scipy" in texts(facts_of(model))
