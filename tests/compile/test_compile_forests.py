"""Trees and forests that answer without scikit-learn, bit for bit as it does."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier

from lading_runtime.compile import run
from lading_runtime.compile.build import build
from lading_runtime.compile.prove import Effort
from lading_runtime.compiled.form import Form

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["a", "b", "ü"])[Y]


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (RandomForestClassifier(10, random_state=0).fit(X, Y), "predict"),
        (RandomForestClassifier(10, random_state=0).fit(X, Y), "predict_proba"),
        (RandomForestClassifier(5, random_state=0).fit(X, Y == 1), "predict"),
        (ExtraTreesClassifier(5, random_state=0).fit(X, NAMES), "predict"),
        (DecisionTreeClassifier(random_state=0).fit(X, Y), "predict_proba"),
        (ExtraTreeClassifier(random_state=0).fit(X, Y.astype(float)), "predict"),
        (DecisionTreeRegressor(random_state=0).fit(X, X[:, 0]), "predict"),
        (RandomForestRegressor(5, random_state=0).fit(X, X[:, 0]), "predict"),
        (ExtraTreesRegressor(5, random_state=0).fit(X, X[:, 0]), "predict"),
        (DecisionTreeClassifier().fit(X, np.zeros(len(X), int)), "predict"),
    ],
    ids=lambda one: type(one).__name__ if hasattr(one, "fit") else one,
)
def test_a_tree_or_forest_is_compiled_bit_for_bit(proved, model, method):
    proof, _ = proved(model, method)
    assert proof["proved"], proof
    assert proof["identical"]
    assert proof["max_difference"] == 0


def test_cells_that_are_missing_go_where_the_tree_sends_them(proved):
    holes = X.copy()
    holes[::5, 2] = np.nan
    holes[::7, 0] = np.nan
    proof, form = proved(RandomForestClassifier(5, random_state=0).fit(holes, Y), "predict_proba")
    assert proof["proved"], proof
    assert form.answer("array", [_row([float("nan")] * 4)])


def test_deep_trees_are_flat_lists(proved):
    steps = np.arange(200.0)[:, None]
    # each value has a target farther away: the tree splits them off one by one
    tree = DecisionTreeRegressor(random_state=0).fit(steps, 4.0 ** steps[:, 0])
    assert tree.get_depth() > 50
    proof, _ = proved(tree)
    assert proof["proved"], proof


def test_a_full_proof_tries_ten_thousand_rows_and_every_threshold(proved):
    model = RandomForestClassifier(20, random_state=0).fit(X, Y)
    proof, _ = proved(model, "predict_proba", Effort(measured_s=0.02))
    assert proof["kept"], proof
    assert proof["probes"] > 10_000 + 10 * proof["thresholds"]
    assert proof["compiled_us"] < proof["original_us"]


def test_a_form_that_is_slower_is_refused_before_anything_is_compared(proved):
    model = RandomForestClassifier(20, random_state=0).fit(X, Y)
    proof, _ = proved(model, "predict_proba", Effort(measured_s=0.02, slack=0.0))
    assert (proof["kept"], proof["proved"], proof["probes"]) == (False, False, 0)
    assert "slower with 64 rows" in proof["reason"]


def test_a_wrong_form_is_not_kept(proved, tmp_path):
    model = RandomForestClassifier(5, random_state=0).fit(X, Y)
    proved(model)
    text = (tmp_path / "form.py").read_text(encoding="utf-8")
    assert "<=" in text
    (tmp_path / "form.py").write_text(text.replace("<=", "<"), encoding="utf-8")
    wrong = Form(str(tmp_path))
    from lading_runtime.compile.prove import prove
    from lading_runtime.loaders.pickle import Estimator

    points = build(model, "predict").points
    proof = prove(Estimator(model, "predict"), wrong, points, effort=Effort(measured_s=0.0))
    assert not proof["kept"]
    assert not proof["identical"]
    assert "answers differ" in proof["reason"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, -0.0, 1.0, 1.0000001, 2.5, 1e30, -7.0, None]), st.integers(0, 2)),
        min_size=1,
        max_size=30,
    ),
    st.booleans(),
)
def test_any_small_tree_is_compiled_bit_for_bit(proved, rows, constant):
    cells = np.array(
        [[np.nan if cell is None else cell, 3.0 if constant else i] for i, (cell, _) in enumerate(rows)]
    )
    model = DecisionTreeClassifier(random_state=0).fit(cells, [label for _, label in rows])
    proof, _ = proved(model, effort=Effort(random_rows=50, edge_rows=200, odd_cells=1, measured_s=0))
    assert proof["proved"], proof


def test_the_job_in_the_sandbox_writes_a_form_and_its_proof(tmp_path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(RandomForestClassifier(5, random_state=0).fit(X, Y)))
    out = tmp_path / "compiled"
    out.mkdir()
    job = {
        "path": str(tmp_path),
        "loader": "pickle",
        "options": {"file": "model.pkl", "method": "predict_proba"},
        "examples": X[:3].tolist(),
    }
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "lading_runtime.compile.run", tmp_path / "job.json", out], check=True
    )
    proof = json.loads((out / "proof.json").read_text(encoding="utf-8"))
    assert proof["kept"], proof
    assert {path.name for path in out.iterdir()} >= {"form.json", "form.py", "proof.json"}
    header, data = Form(str(out)).answer("array", [_row(X[0])])
    assert header["outputs"][0]["shape"] == [1, 3]
    assert np.frombuffer(data).tolist() == [1.0, 0.0, 0.0]


def test_examples_may_have_gaps_and_what_is_no_row(proved):
    holes = X.copy()
    holes[::5, 2] = np.nan
    model = DecisionTreeClassifier(random_state=0).fit(holes, Y)
    few = Effort(random_rows=10, edge_rows=10, odd_cells=0, measured_s=0)
    asked = [proved(model, effort=few, examples=some)[0]["probes"] for some in ([], [[5.1, 3.5, None, 0.2]])]
    assert asked[1] == asked[0] + 2  # as an array and as a frame
    proof, _ = proved(model, effort=few, examples=[["five", 3.5, 1.4, 0.2], [5.1]])
    assert proof["proved"]
    assert proof["probes"] == asked[0] + 4  # refused alike


def test_a_model_of_no_known_kind_says_so(tmp_path):
    from sklearn.neighbors import KNeighborsClassifier

    (tmp_path / "model.pkl").write_bytes(pickle.dumps(KNeighborsClassifier().fit(X, Y)))
    job = {"path": str(tmp_path), "loader": "pickle", "options": {"file": "model.pkl"}}
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    assert run.main(str(tmp_path / "job.json"), str(tmp_path)) == 0
    proof = json.loads((tmp_path / "proof.json").read_text(encoding="utf-8"))
    assert proof == {
        "mode": "auto",
        "kept": False,
        "proved": False,
        "reason": "no compiler for sklearn.KNeighborsClassifier",
    }


def _row(cells):
    data = np.asarray(cells, float).tobytes()
    return {
        "name": "x",
        "datatype": "FP64",
        "shape": [1, len(cells)],
        "parameters": {"binary_data_size": len(data)},
    }, data
