"""A file of skops by itself: the same facts as of a pickle, and every type that is not known to be safe."""

import pickle

import numpy as np
import pytest
import skops.io
from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from xgboost import XGBRegressor

from lading.core.errors import ModelError
from lading.core.signature import Field
from lading.model import inspect, refuse


class Doubling(BaseEstimator):
    """A step of one's own."""

    def fit(self, _x, _y=None):
        self.fitted_ = True
        return self

    def transform(self, x):
        return x * 2


def test_an_estimator_tells_what_it_tells_in_a_pickle(estimators, tmp_path):
    for name in ("forest", "columns", "logistic", "pca", "two_targets", "kmeans"):
        skops.io.dump(estimators[name], tmp_path / f"{name}.bin")
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(estimators[name]))
        facts, pickled = inspect(tmp_path / f"{name}.bin"), inspect(tmp_path / f"{name}.pkl")
        assert facts.format == "skops"
        assert facts.signature == pickled.signature, name
        assert facts.framework_version == pickled.framework_version
        assert facts.loader_options["method"] == pickled.loader_options["method"]
        assert facts.risks == ()
        of_frames = [any("pandas" in one.text for one in each.requirements) for each in (facts, pickled)]
        assert of_frames == [name == "columns"] * 2, name
        assert f"skops=={skops.__version__}" in [one.text for one in facts.requirements]


def test_types_are_listed_and_those_not_known_to_be_safe_have_to_be_allowed(iris, tmp_path):
    model = make_pipeline(Doubling(), FunctionTransformer(np.log1p), LogisticRegression(max_iter=500))
    skops.io.dump(model.fit(*iris), tmp_path / "model.skops")
    facts = inspect(tmp_path / "model.skops")
    mine = f"{__name__}.Doubling"
    assert mine in facts.loader_options["trusted_types"]
    assert [one.name for one in facts.risks] == [mine]
    with pytest.raises(ModelError, match=f"--allow-unsafe {mine}"):
        refuse(facts, ())
    refuse(facts, [mine])
    (tmp_path / "steps.py").write_text("class Doubling: ...\n")
    assert inspect(tmp_path / "model.skops", code=tmp_path / "steps.py").format == "skops"


@pytest.mark.parametrize(
    "model", [LGBMClassifier(n_estimators=2, verbosity=-1), XGBRegressor(n_estimators=2)]
)
def test_estimators_of_other_libraries_are_as_safe(model, iris, tmp_path):
    rows, labels = iris
    skops.io.dump(model.fit(rows.to_numpy(), labels), tmp_path / "model.skops")
    facts = inspect(tmp_path)
    assert facts.risks == ()
    assert facts.flavour.startswith(("skops lightgbm", "skops xgboost"))


def test_what_is_no_estimator_is_refused(tmp_path):
    skops.io.dump({"a": np.arange(3)}, tmp_path / "model.skops")
    with pytest.raises(ModelError, match="holds a dict, not an estimator"):
        inspect(tmp_path / "model.skops")


def test_labels_tell_their_type(iris, tmp_path):
    rows, labels = iris
    skops.io.dump(LogisticRegression(max_iter=500).fit(rows, labels.astype("int16")), tmp_path / "m")
    assert inspect(tmp_path / "m").signature.outputs == (Field("tensor", dtype="int16", shape=(-1,)),)
