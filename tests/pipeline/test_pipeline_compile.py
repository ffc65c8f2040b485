"""A forest that is packed without its libraries: what is where, and what becomes of the model itself."""

import json
import subprocess
from contextlib import closing

import joblib
import pytest
from sklearn.cluster import Birch
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from engines import free_port
from lading import spec as specs
from lading.layers import forms
from lading.pipeline import packing, shelf
from lading.pipeline.context import Context
from lading.settings import Settings
from lading.store import documents
from models import IRIS, rows
from running import Lading, post, wait_for

pytestmark = pytest.mark.network

SPEC = """\
name: forest
model: model.joblib
compile: {way}
example:
  inputs: inputs.csv
  outputs: outputs.json
"""


def write(folder, model, *, way="auto"):
    folder.mkdir(exist_ok=True)
    joblib.dump(model.fit(IRIS.data, IRIS.target), folder / "model.joblib")
    IRIS.data.to_csv(folder / "inputs.csv", index=False)
    (folder / "outputs.json").write_text(json.dumps(model.predict(IRIS.data).tolist()))
    (folder / "lading.yaml").write_text(SPEC.format(way=way))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("forest"), RandomForestClassifier(10, random_state=0))


@pytest.fixture(scope="module")
def packed(lading, folder):
    done = lading.run("pack", folder, "-t", "forest:1", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def bill_of(lading, name):
    return lading.json("show", name)["bill"]


def test_the_image_of_a_form_has_no_library_of_the_model(lading, packed):
    bill = bill_of(lading, "forest:1")
    assert bill["environment"]["packages"] == []
    kinds = {layer["kind"] for layer in bill["layers"]}
    assert "compiled" in kinds
    assert not kinds & {"environment", "model", "code"}
    assert packed["size_bytes"] < 60e6
    assert [one["path"] for one in bill["model"]["compiled"]["files"]] == ["form.json", "form.py"]


def test_the_proof_is_in_the_report_and_the_bill_has_no_times(lading, packed):
    proof = packed["report"]["proof"]
    form = bill_of(lading, "forest:1")["model"]["compiled"]
    assert (proof["kept"], proof["identical"], proof["probes"]) == (True, True, form["probes"])
    assert proof["probes"] > 10_000
    assert proof["compiled_us"] < proof["original_us"]
    assert form["tolerance"] == 0
    assert not [key for key in form if key.endswith("us")]
    shown = lading("show", "forest:1")
    assert "served by    compiled" in shown
    assert f"bit-identical on {proof['probes']:,} probes" in shown


def test_both_images_are_verified_and_their_answers_compared(packed):
    checks = {check["name"]: check for check in packed["report"]["checks"]}
    assert all(check["passed"] for check in checks.values())
    assert "same as the model" in checks
    assert packed["report"]["matched"] == 150


def test_packing_again_takes_all_of_it_from_the_cache(lading, folder, packed):
    done = lading.run("pack", folder, "-t", "forest:1")
    assert packed["digest"] in done.stdout
    assert "all from cache" in done.stderr
    assert "as verified before" in done.stderr
    assert "compiled sklearn.RandomForestClassifier, bit-identical" in done.stderr


def test_the_original_is_what_packing_without_compiling_makes(lading, folder, packed):
    plain = lading.json("pack", folder, "-t", "forest:plain", "--no-compile")
    form = bill_of(lading, "forest:1")["model"]["compiled"]
    assert plain["digest"] == form["original"]
    found = lading.json("diff", "forest:plain", "forest:1")
    assert found["client_would_notice"] == "no"
    assert "served by" in {change["part"] for change in found["changes"]}


def test_a_compiled_package_made_again_is_the_same_bytes(lading, packed):
    assert lading.json("rebuild", "forest:1", "--check")["digest"] == packed["digest"]


def served(home, port, *arguments, name="forest:1"):
    """Ask a package that is served for three flowers; return the answer and the bill's loader."""
    process = home.start("serve", name, "--port", port, *arguments)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/v2/health/ready", process)
        answer = post(f"{url}/invocations", rows(0, 50, 140))
        metrics = subprocess.run(["curl", "-s", f"{url}/metrics"], capture_output=True, text=True, check=True)
        return answer, "lading_compiled" in metrics.stdout
    finally:
        process.terminate()
        process.communicate()


def test_the_model_travels_with_its_form_and_can_be_served_itself(lading, packed, registry, tmp_path):
    there = f"{registry.host}/team/forest:1"
    lading("push", "forest:1", there)
    other = Lading(tmp_path / "home")
    other("pull", there, "-t", "forest:1")
    shown = other.json("show", "forest:1")
    assert (shown["digest"], shown["report"]["proof"]) == (packed["digest"], packed["report"]["proof"])
    assert served(other, free_port()) == ({"predictions": [0, 1, 2]}, True)
    assert served(other, free_port(), "--no-compile") == ({"predictions": [0, 1, 2]}, False)
    other("gc", "--older-than-s", "0")
    assert "same as the model" in other("verify", "forest:1")
    leave_behind(other)
    done = other.run("verify", "forest:1")
    assert done.returncode == 0
    assert "not compared with the model" in done.stderr
    assert "lading pull" in other.fails(8, "serve", "forest:1", "--no-compile")
    assert "lading pull" in other.fails(8, "rebuild", "forest:1", "--check")


def leave_behind(home):
    """Forget the original's image, as a copy by other tools does."""
    context = Context(Settings(home.home))
    package = shelf.find(context, "forest:1")
    for referrer in list(context.store.referrers(package.image.descriptor.digest)):
        if documents.is_index(referrer):
            context.store.delete(referrer.digest)
    context.store.delete(package.bill.model.compiled.original)


def test_a_model_that_no_compiler_knows_is_packed_as_it_is(lading, tmp_path):
    folder = write(tmp_path / "near", KNeighborsClassifier())
    done = lading.run("pack", folder, "-t", "near:1", "--no-verify")
    assert done.returncode == 0
    assert "not compiled: no compiler for sklearn.KNeighborsClassifier" in done.stderr
    bill = bill_of(lading, "near:1")
    assert bill["model"]["compiled"] is None
    assert "numpy" in {one["name"] for one in bill["environment"]["packages"]}


def test_treelite_reads_what_has_no_exact_form(lading, tmp_path):
    way = "treelite\ncompile_tolerance: 1e-6"
    folder = write(tmp_path / "odd", IsolationForest(n_estimators=5, random_state=0), way=way)
    packed = lading.json("pack", folder, "-t", "odd:1")
    form = packed["report"]["proof"]
    assert (form["kind"], form["mode"], form["proved"]) == ("sklearn.IsolationForest", "treelite", True)
    assert packed["report"]["matched"] == 150
    bill = bill_of(lading, "odd:1")
    assert (bill["environment"]["packages"], bill["model"]["compiled"]["tolerance"]) == ([], 1e-6)
    assert "compiled sklearn.IsolationForest by treelite, within 1e-06 on" in lading("show", "odd:1")
    assert lading.json("rebuild", "odd:1", "--check")["digest"] == packed["digest"]


def test_treelite_is_refused_where_it_reads_no_such_model(lading, tmp_path):
    folder = write(tmp_path / "near", KNeighborsClassifier(), way="treelite\ncompile_tolerance: 1e-6")
    told = lading.fails(3, "pack", folder, "-t", "near:2")
    assert "'treelite' cannot be had: no compiler for sklearn.KNeighborsClassifier" in told


ONNX = "onnx\ncompile_tolerance: 1e-6"


@pytest.mark.slow
@pytest.mark.parametrize("library", ["sklearn", "xgboost"])
def test_onnx_answers_with_onnxruntime_and_numpy_alone(lading, tmp_path, library):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    if library == "xgboost":
        model = XGBClassifier(n_estimators=5, n_jobs=1)
    folder = write(tmp_path / library, model, way=ONNX)
    packed = lading.json("pack", folder, "-t", f"{library}:1")
    proof = packed["report"]["proof"]
    assert (proof["mode"], proof["proved"], packed["report"]["matched"]) == ("onnx", True, 150)
    bill = bill_of(lading, f"{library}:1")
    assert [one["name"] for one in bill["environment"]["packages"]] == ["numpy", "onnxruntime"]
    form = bill["model"]["compiled"]
    assert (form["way"], form["tolerance"]) == ("onnx", 1e-6)
    assert [one["path"] for one in form["files"]] == ["form.json", "form.py", "model.onnx"]
    assert "by onnx, within 1e-06 on" in lading("show", f"{library}:1")
    assert "same as the model" in lading("verify", f"{library}:1")
    expected = {"predictions": [0, 1, 2]}
    assert served(lading, free_port(), name=f"{library}:1")[0] == expected
    assert served(lading, free_port(), "--no-compile", name=f"{library}:1")[0] == expected
    assert lading.json("rebuild", f"{library}:1", "--check")["digest"] == packed["digest"]


@pytest.mark.slow
def test_onnx_is_refused_where_nothing_converts_such_a_model(lading, tmp_path):
    folder = write(tmp_path / "birch", Birch(n_clusters=3), way=ONNX)
    told = lading.fails(3, "pack", folder, "-t", "birch:1")
    assert "'onnx' cannot be had: skl2onnx does not convert sklearn.Birch" in told
    assert "take compile: auto, or off" in told


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tree") / "tree", DecisionTreeClassifier(max_depth=2))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import ctypes; ctypes.string_at(0)", "ended with"),
        ("bytearray(1 << 60)", "MemoryError"),
        ("import time; time.sleep(60)", "still runs after"),
        ("", "cannot read 'proof.json'"),
        ("open('/tmp/proof.json', 'w').write('[]')", "expected an object"),
    ],
    ids=["crash", "memory", "timeout", "nothing", "nonsense"],
)
def test_a_compiler_that_fails_leaves_the_model_to_answer(lading, tree, monkeypatch, script, said):
    monkeypatch.setattr(forms, "SCRIPT", script)
    monkeypatch.setattr(forms, "_LIMIT_S", 1.0)
    monkeypatch.setattr(forms, "_LOAD_S", 0.0)
    told = []
    what = specs.load(tree / "lading.yaml")
    with closing(Context(Settings(lading.home), lambda event: told.append(event.text))) as context:
        packed = packing.pack(context, what, names=("tree:1",), verify=False)
    (reason,) = [text for text in told if text.startswith("not compiled: the compiler failed: ")]
    assert said in reason
    bill = shelf.find(context, str(packed.digest)).bill
    assert bill.model.compiled is None
    assert "scikit-learn" in {one.name for one in bill.environment.packages}


def test_a_model_with_code_of_its_own_is_said_not_to_be_compiled(lading, tree):
    (tree / "code").mkdir()
    (tree / "code" / "more.py").write_text("")
    (tree / "coded.yaml").write_text(SPEC.format(way="auto") + "code: code\n")
    done = lading.run("pack", tree / "coded.yaml", "-t", "coded:1")
    reason = "the model comes with code of its author's own"
    assert f"not compiled: {reason}" in done.stderr
    assert lading.json("show", "coded:1")["report"]["proof"] == {"kept": False, "reason": reason}
    assert f"served by    the model itself, not compiled: {reason}" in lading("show", "coded:1")
