"""`lading.save`: what training code saves is an MLflow model, tried at once, that lading packages."""

import importlib.util
import json
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import lading as library
from lading import saving
from lading.core.errors import LadingError, ModelError, SpecError
from lading.model import inspect, untrusted
from lading.saving import documents, estimators, requirements, sample

SHIMS = Path(documents.__file__).parent / "shims"

LOADER = """\
import json


class Constant:
    def __init__(self, value):
        self.value = value

    def predict(self, data):
        return [self.value] * len(data)


def _load_pyfunc(path):
    with open(path) as file:
        return Constant(json.load(file))
"""


@pytest.fixture(scope="module")
def iris_frame():
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def estimator(iris_frame):
    rows, target = iris_frame
    return LogisticRegression(max_iter=500).fit(rows, target)


@pytest.fixture(scope="module")
def saved(iris_frame, estimator, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "iris"
    metadata = {"owner": "a team", "rows": 150}
    return library.save(estimator, path, iris_frame[0], method="predict_proba", metadata=metadata)


def test_an_estimator_is_saved_as_skops_with_what_it_needs_and_no_more(saved):
    assert (saved.flavour, saved.format) == ("sklearn", "model.skops")
    names = {one.partition("==")[0] for one in saved.requirements}
    assert {"scikit-learn", "numpy", "skops"} <= names
    # skops looks for estimators in all that is installed, and pandas made the rows
    assert names.isdisjoint({"pytest", "rich", "pandas", "pyarrow", "lading", "mlflow"})
    assert "pytest" in saved.dropped
    assert "predicts the same without" in str(saved)


def test_the_folder_is_an_mlflow_model_and_ladings_own(saved, iris_frame, estimator):
    document = yaml.safe_load((saved.path / "MLmodel").read_text())
    pyfunc = document["flavors"]["python_function"]
    assert (pyfunc["predict_fn"], pyfunc["loader_module"], pyfunc["code"]) == (
        "predict_proba",
        "lading_skops",
        "code",
    )
    assert document["metadata"] == {"owner": "a team", "rows": 150}
    listed = (saved.path / "requirements.txt").read_text().splitlines()
    assert listed[0].startswith("mlflow")
    assert listed[1:] == list(saved.requirements)
    assert yaml.safe_load((saved.path / "conda.yaml").read_text())["dependencies"][-1] == {"pip": listed}
    facts = inspect(saved.path)
    assert (facts.loader, facts.risks, facts.framework) == ("pickle", (), "scikit-learn")
    assert facts.loader_options["method"] == "predict_proba"
    assert [one.name for one in facts.signature.inputs] == list(iris_frame[0].columns)
    (example,) = facts.examples
    assert example.outputs == estimator.predict_proba(iris_frame[0].head()).tolist()
    assert not list(saved.path.parent.glob(".*"))


@pytest.mark.network
def test_it_is_packaged_and_its_own_answers_are_replayed(saved, lading):
    packed = lading.json("pack", saved.path, "-t", "saved:1")
    report = packed["report"]
    assert (report["passed"], report["matched"], report["predictions"]) == (True, 5, 5)


def test_a_model_of_xgboost_is_saved_in_its_own_format_for_arrays_and_frames(iris_frame, tmp_path):
    rows, target = iris_frame
    model = xgboost.XGBClassifier(n_estimators=2).fit(rows.to_numpy(), target)
    found = library.save(model, tmp_path / "model", rows.to_numpy())
    assert found.format == "model.ubj"
    assert any(one.startswith("xgboost-cpu==") for one in found.requirements)
    facts = inspect(found.path)
    assert facts.signature.inputs[0].shape == (-1, 4)
    assert facts.examples[0].outputs == model.predict(rows.to_numpy()[:5]).tolist()
    # as MLflow reads it: the array itself
    assert json.loads((found.path / "input_example.json").read_text()) == rows.to_numpy()[:5].tolist()


def test_rows_in_lists_are_a_table_to_a_library():
    assert sample.table([[1, 2], [3, 4]]).shape == (2, 2)
    for one in ([{"a": 1}], ["a", 1], [["a", "b"]], [[1], [2, 3]], [], {"a": [1]}):
        assert sample.table(one) is one


TWICE = """\
from sklearn.base import BaseEstimator, TransformerMixin


class Twice(TransformerMixin, BaseEstimator):
    def fit(self, rows, target=None):
        self.n_features_in_ = rows.shape[1]
        return self

    def transform(self, rows):
        return rows * 2
"""


def test_what_a_notebook_defines_goes_along(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "Twice", None, raising=False)
    exec(TWICE, vars(sys.modules["__main__"]))
    step = sys.modules["__main__"].Twice().fit(np.ones((2, 3)))
    found = estimators.write(saving.Saving(step, tmp_path, None, "predict", untrusted))
    assert found.settings["serialization_format"] == "cloudpickle"
    monkeypatch.delattr(sys.modules["__main__"], "Twice")
    assert pickle.loads((tmp_path / "model.pkl").read_bytes()).transform(np.ones(2)).tolist() == [2, 2]


def test_a_module_of_ones_own_has_to_be_shipped(tmp_path, monkeypatch):
    module = tmp_path / "own_steps.py"
    module.write_text("def total(rows):\n    return rows.sum(axis=1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    import own_steps

    try:
        with pytest.raises(ModelError, match="imports own_steps, which is here") as caught:
            library.save(own_steps.total, tmp_path / "model", np.ones((2, 2)))
        assert str(module) in str(caught.value)
        assert not (tmp_path / "model").exists()
        found = library.save(
            own_steps.total, tmp_path / "model", np.ones((2, 2)), requires=["numpy"], code=[module]
        )
    finally:
        del sys.modules["own_steps"]
    assert (found.path / "code" / "own_steps.py").is_file()


def test_another_method_goes_by_a_form_that_can_be_asked_it(iris_frame):
    model = xgboost.XGBClassifier(n_estimators=2).fit(*iris_frame)
    assert (saving.of(model).name, saving.of(model, "predict_proba").name) == ("xgboost", "sklearn")
    with pytest.raises(SpecError, match="xgboost is saved to be asked by predict alone"):
        saving.of(model.get_booster(), "get_dump")


def test_an_estimator_of_skops_has_the_method_that_mlflow_asks(estimator, iris_frame):
    spec = importlib.util.spec_from_file_location("lading_skops", SHIMS / "lading_skops.py")
    shim = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shim)
    found = shim.Estimator(estimator, "predict_proba").predict_proba(iris_frame[0])
    assert found.tolist() == estimator.predict_proba(iris_frame[0]).tolist()


def test_a_flavour_of_ones_own_is_saved_and_loaded_by_its_module(tmp_path):
    (tmp_path / "constant_loader.py").write_text(LOADER)

    def write(saving):
        (saving.folder / "value.json").write_text(json.dumps(saving.model))
        return library.Written("value.json", {"kind": "constant"}, "constant_loader", ())

    flavour = library.Flavour(
        "constant", write, lambda value, inputs: [value] * len(inputs), (tmp_path / "constant_loader.py",)
    )
    found = library.save(7, tmp_path / "model", np.zeros((9, 2)), flavour=flavour, requires=["numpy>=2"])
    assert found.requirements == ("numpy>=2",)
    facts = inspect(found.path)
    assert (facts.loader, facts.loader_options["module"]) == ("module", "constant_loader")
    assert facts.examples[0].outputs == [7] * 5


def test_what_would_predict_otherwise_is_not_saved(iris_frame, estimator, tmp_path):
    with pytest.raises(ModelError, match="predicts otherwise than outputs: 0 instead of 9"):
        library.save(estimator, tmp_path / "model", iris_frame[0], outputs=[9] * 150, requires=[])
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_is_told_before_anything_is_written(tmp_path, estimator):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(SpecError) as caught:
        library.save(estimator, tmp_path / "there", requires=["numpy 2"], code=[tmp_path / "none.py"])
    assert [one.what.partition(",")[0] for one in caught.value.issues] == [
        "is there already",
        "no such code",
        "got 'numpy 2'",
    ]
    for name in ("x" * 300, "a\0b", None):
        with pytest.raises(SpecError, match="path: cannot be written"):
            library.save(estimator, name)
    with pytest.raises(SpecError, match="metadata: got a str"):
        library.save(estimator, tmp_path / "model", metadata="owner")
    with pytest.raises(SpecError, match="got 'numpy 2', expected a requirement"):
        library.save(estimator, tmp_path / "model", requires="numpy 2")
    with pytest.raises(ModelError, match=r"got a builtins\.int, expected"):
        library.save(3, tmp_path / "model")
    with pytest.raises(SpecError, match="the model has no 'foretell'"):
        library.save(estimator, tmp_path / "model", np.zeros((1, 4)), method="foretell")
    with pytest.raises(SpecError, match=r"got a builtins\.int, expected a DataFrame"):
        library.save(estimator, tmp_path / "model", 3)
    assert [one.name for one in tmp_path.iterdir()] == ["there"]


def test_of_several_distributions_that_have_a_module_the_one_with_its_file_counts():
    found = requirements.distributions_of({"xgboost": xgboost.__file__, "numpy": np.__file__})
    assert found == {"xgboost-cpu", "numpy"}


@pytest.mark.parametrize("says", ["No module named 'pandas.core'", "columns by name are of frames alone"])
def test_what_predictions_do_without_is_left_out_and_what_they_need_is_found_in_few_trials(says):
    traced = frozenset({"numpy", "rich", "pandas", "pytest", "six", "attrs", "pygments"})
    trials = []

    def needs(names):
        trials.append(names)
        return says if "pandas" in names else "it differs" if "six" in names else None

    kept, dropped = requirements.needed(traced, frozenset({"numpy"}), needs)
    assert kept == {"numpy", "pandas", "six"}
    assert dropped == {"rich", "pytest", "attrs", "pygments"}
    assert len(trials) <= 7
    assert requirements.needed(traced, frozenset({"numpy"}), lambda _: None)[0] == {"numpy"}


def test_what_came_from_elsewhere_is_pinned_to_where_it_came_from(tmp_path, monkeypatch):
    places = {
        "rules": {
            "url": "https://me:secret@example.com/rules.git",
            "vcs_info": {"vcs": "git", "commit_id": "c0"},
        },
        "steps": {"url": "https://example.com/steps-1.0.tar.gz", "archive_info": {}},
        "local": {"url": "file:///home/me/local", "dir_info": {}},
        "linked": {"url": "file:///home/me/linked", "dir_info": {"editable": True}},
    }
    for name, place in places.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "direct_url.json").write_text(json.dumps(place))
        (folder / "top_level.txt").write_text(f"{name}_module")
    monkeypatch.syspath_prepend(tmp_path)
    requirements.look_again()
    try:
        found, notes = requirements.lines(["rules", "steps", "local"])
        elsewhere = {f"{name}_module": f"/home/me/{name}_module.py" for name in ("linked", "local")}
        own = requirements.not_installed(elsewhere, tmp_path / "model")
    finally:
        requirements.look_again()
    assert found == [
        "local==1.0",
        "rules @ git+https://example.com/rules.git@c0",
        "steps @ https://example.com/steps-1.0.tar.gz",
    ]
    assert [one.partition(":")[0] for one in notes] == ["local 1.0 was installed from file"]
    assert list(own) == ["linked_module"]


def test_what_a_model_cannot_answer_is_told_in_words(tmp_path, estimator, iris_frame):
    rows, _ = iris_frame
    scaler = StandardScaler().fit(rows)
    for model, inputs, says in (
        (LogisticRegression(), rows, "does not answer the inputs: NotFittedError"),
        (LogisticRegression, rows, "got the class LogisticRegression, expected a model of it"),
        (estimator, rows.head(0), "inputs: has no rows"),
        (estimator, [], "inputs: has no rows"),
        (estimator, rows.set_axis(list("aabc"), axis=1), "has the column 'a' more than once"),
        (scaler, rows, "has no 'predict'\n  fix: name what it is asked by: method='transform'"),
    ):
        with pytest.raises(LadingError, match=re.escape(says)):
            library.save(model, tmp_path / "model", inputs)
    assert not list(tmp_path.iterdir())


def test_rows_of_other_libraries_are_what_servers_give_a_model(iris_frame):
    import pyarrow as pa

    rows, _ = iris_frame
    assert sample.first_rows(pa.Table.from_pandas(rows)).equals(rows.head())
    assert sample.first_rows(pa.array(["a", "b"])).tolist() == ["a", "b"]
    # a column that stands alone is texts, or labels
    assert sample.of(rows.iloc[:, 0]).serving == {"inputs": rows.iloc[:5, 0].tolist()}


def test_columns_that_have_numbers_for_names_are_told_by_their_place(iris_frame, tmp_path):
    frame = pd.DataFrame(iris_frame[0].to_numpy())
    found = library.save(lambda rows: rows[0] + rows[3], tmp_path / "model", frame, requires=[])
    assert [one.name for one in inspect(found.path).signature.inputs] == [None] * 4
    request = json.loads((found.path / "serving_input_example.json").read_text())
    assert request == {"dataframe_split": {"data": frame.head().to_numpy().tolist()}}


def test_a_signature_may_be_mlflows_and_has_to_fit_the_inputs(estimator, iris_frame, tmp_path):
    rows, _ = iris_frame

    class Given:
        def to_dict(self):
            return {"inputs": json.dumps([{"name": "size", "type": "double"}]), "outputs": None}

    with pytest.raises(SpecError, match="wants 'size', which inputs has no column of"):
        library.save(estimator, tmp_path / "model", rows, signature=Given())
    with pytest.raises(SpecError, match="signature: got a str, expected"):
        library.save(estimator, tmp_path / "model", rows, signature="double")
    with pytest.raises(SpecError, match="outputs: come without inputs"):
        library.save(estimator, tmp_path / "model", outputs=[1])


def test_a_model_that_answers_at_random_and_metadata_without_a_form_are_told(tmp_path, iris_frame):
    rows = iris_frame[0].to_numpy()
    with pytest.raises(ModelError, match="the model answers otherwise each time it is asked"):
        library.save(lambda given: np.random.default_rng().random(len(given)), tmp_path / "model", rows)
    with pytest.raises(SpecError, match=r"metadata: holds a builtins\.set, which JSON has no form for"):
        library.save(lambda given: given, tmp_path / "model", rows, metadata={"tags": {1, 2}})


def test_a_pickled_estimator_is_asked_by_any_method_of_it(tmp_path, monkeypatch, iris_frame):
    monkeypatch.setattr(estimators, "_skops", lambda *_: None)
    scaler = StandardScaler().fit(iris_frame[0])
    found = estimators.write(saving.Saving(scaler, tmp_path, None, "transform", untrusted))
    assert (found.loader_module, found.pyfunc["predict_fn"]) == ("lading_pickle", "transform")
    spec = importlib.util.spec_from_file_location("lading_pickle", SHIMS / "lading_pickle.py")
    shim = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shim)
    assert hasattr(shim._load_pyfunc(tmp_path / found.data), "transform")


def test_texts_and_numbers_in_a_list_are_an_array():
    assert sample.table([1, 2.5]).tolist() == [1, 2.5]
    assert sample.table([1, "a"]) == [1, "a"]
    assert sample.of(sample.table(("a", "b"))).value.dtype.kind == "U"


def test_importing_lading_imports_nothing_else():
    assert set(library.__all__) >= {"save", "Flavour", "Signature"}
    with pytest.raises(AttributeError, match="no attribute 'sav'"):
        _ = library.sav
    assert Path(library.__file__).stat().st_size < 2000
