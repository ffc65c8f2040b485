"""What serving does not need is left out, where recorded predictions show that it is not needed."""

import json

import pytest

from smithing import Wheelsmith

pytestmark = pytest.mark.network

PLAIN = "def run(data):\n    return [1]\n"
TRAINS = PLAIN + "def train():\n    import matplotlib.pyplot\n"
IMPORTS = "import seaborn\n" + PLAIN
ASKS = """
try:
    import seaborn
except ImportError:
    seaborn = None

def run(data):
    return [bool(seaborn)]
"""


@pytest.fixture(scope="module")
def links(tmp_path_factory):
    """Make a feed in which a plotting library brings another library along, and what is a model's own."""
    smith = Wheelsmith(tmp_path_factory.mktemp("links"))
    smith.wheel("colours", "1.0", source="PALETTE = ()\n")
    smith.wheel("seaborn", "99.0", "colours")
    smith.wheel("matplotlib", "99.0", "colours")
    smith.wheel("wanted", "2.0", "matplotlib")
    smith.wheel("pytest", "99.0")
    smith.wheel("mlflow", "99.0", "colours", "sqlparse")
    smith.wheel("sqlparse", "99.0")
    return smith.folder


@pytest.fixture
def project(tmp_path, links):
    """Write a routine and its spec."""

    def write(score, *requirements, example=True, **more):
        (tmp_path / "score.py").write_text(score)
        spec = {
            "name": "plots",
            "code": "score.py",
            "requirements": list(requirements),
            "indexes": {"find_links": [str(links)]},
            **({"example": {"inputs": {"data": [1]}, "outputs": [1]}} if example is True else {}),
            **({"example": example} if isinstance(example, dict) else {}),
            **more,
        }
        (tmp_path / "lading.yaml").write_text(json.dumps(spec))
        return tmp_path

    return write


def packages(lading):
    environment = lading.json("show", "plots:1")["bill"]["environment"]
    names = {one["name"] for one in environment["packages"]}
    return names, {one["name"]: one["why"] for one in environment.get("dropped", [])}


def pack(lading, folder, *more):
    done = lading.run("pack", folder, "-t", "plots:1", *more)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_what_the_predictions_do_not_need_is_left_out_with_all_that_only_it_requires(lading, project):
    folder = project(TRAINS, "wanted", "seaborn")
    said = pack(lading, folder)
    assert "score.py imports matplotlib.pyplot, and no recorded prediction did: --keep matplotlib" in said
    assert "drop      left out matplotlib, seaborn and 1 more" in said
    names, dropped = packages(lading)
    assert names == {"wanted"}
    reasons = {"matplotlib": "plotting", "seaborn": "plotting", "colours": "nothing else needs it"}
    assert dropped == reasons
    report = lading.json("verify", "plots:1")
    assert {one["name"]: one["why"] for one in report["dropped"]} == reasons
    assert report["saved_bytes"] == sum(one["size_bytes"] for one in report["dropped"]) > 0
    assert "left out" in lading("show", "plots:1")
    before = lading.json("show", "plots:1")["digest"]
    assert "as locked" in pack(lading, folder, "--locked")
    assert lading.json("show", "plots:1")["digest"] == before
    lading("rebuild", "plots:1", "--check")
    project(IMPORTS, "wanted", "seaborn")
    done = lading.run("pack", folder, "-t", "plots:1", "--locked")
    assert done.returncode == 6, "a lock that is to stay stays"
    assert "No module named 'seaborn'" in done.stderr
    assert "seaborn put back" in pack(lading, folder), "a model that has changed needs it"
    assert packages(lading)[0] == {"wanted", "seaborn", "colours"}
    assert "put back" not in pack(lading, folder), "it is remembered"


@pytest.mark.parametrize("score", [IMPORTS, ASKS])
def test_what_the_predictions_need_stays(lading, project, score):
    """Whether it is missed with an error, or answers otherwise where it is not there."""
    outputs = [1] if score == IMPORTS else [True]
    folder = project(score, "seaborn", example={"inputs": {"data": [1]}, "outputs": outputs})
    assert "seaborn put back" in pack(lading, folder)
    assert packages(lading) == ({"seaborn", "colours"}, {})


def test_what_brings_what_they_need_stays_and_the_rest_goes(lading, project):
    folder = project("import colours\n" + PLAIN, "seaborn", "pytest", keep=["seabornn"])
    said = pack(lading, folder)
    assert "keep: nothing asks for 'seabornn'; did you mean 'seaborn'?" in said
    assert "drop      seaborn put back" in said
    assert packages(lading) == ({"seaborn", "colours"}, {"pytest": "development"})


def test_answers_are_compared_where_outputs_are_not_recorded(lading, project):
    folder = project(ASKS, "seaborn", example={"inputs": {"data": [1]}})
    assert "same as the model" in pack(lading, folder)
    assert packages(lading)[0] == {"seaborn", "colours"}
    folder = project(PLAIN, "seaborn", example={"inputs": {"data": [1]}})
    (folder / "lading.lock").unlink()
    pack(lading, folder)
    assert packages(lading)[0] == set()


def test_nothing_is_tried_where_no_prediction_tells(lading, project):
    said = pack(lading, project(PLAIN, "seaborn", example=False))
    assert "seaborn may not be needed" in said
    assert packages(lading) == ({"seaborn", "colours"}, {})
    pack(lading, project(PLAIN, "seaborn"), "--no-verify")
    assert packages(lading) == ({"seaborn", "colours"}, {})


def test_keep_and_drop_decide_by_hand(lading, project):
    folder = project(PLAIN, "seaborn", "wanted", keep=["matplot*"])
    pack(lading, folder)
    assert packages(lading)[0] == {"wanted", "matplotlib", "colours"}
    pack(lading, folder, "--keep", "*")
    assert packages(lading)[0] == {"wanted", "matplotlib", "seaborn", "colours"}
    said = pack(lading, folder, "--no-verify", "--drop", "Colours", "--drop", "seaborne")
    assert "nothing asks for 'seaborne'; did you mean 'seaborn'?" in said
    names, dropped = packages(lading)
    assert (names, dropped) == ({"wanted", "matplotlib", "seaborn"}, {"colours": "by hand"})
    said = lading.fails(2, "pack", folder, "-t", "plots:1", "--drop", "a b", "--drop", "matplot*")
    assert "got 'a b', expected a library's name" in said
    assert "got 'matplot*'" in said
    said = lading.fails(2, "pack", folder, "--drop", "Scikit_Learn", "--keep", "scikit-learn")
    assert "'Scikit_Learn' is to be kept, too" in said
    project(IMPORTS, "seaborn")
    done = lading.run("pack", folder, "-t", "plots:1", "--drop", "Seaborn")
    assert "fix: take Seaborn from 'drop' and --drop: the model needs it" in done.stderr


def test_what_is_kept_keeps_what_it_requires(lading, project):
    folder = project(PLAIN, "wanted", "seaborn", keep=["wanted"])
    pack(lading, folder)
    assert packages(lading)[0] == {"wanted", "matplotlib", "colours"}


CODE = """
import colours
from mlflow.pyfunc import PythonModel
from mlflow.models import set_model


class Model(PythonModel):
    def predict(self, context, model_input, params=None):
        return [len(colours.PALETTE) for _ in range(len(model_input))]


set_model(Model())
"""
MLMODEL = """
flavors:
  python_function:
    env: {virtualenv: python_env.yaml}
    loader_module: mlflow.pyfunc.loaders.code_model
    model_code_path: model.py
    python_version: 3.11.2
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 1]}}]'
  outputs: '[{"type": "long"}]'
"""


def test_what_mlflow_would_have_brought_comes_where_the_model_imports_it(lading, tmp_path, links):
    """MLflow does not list what it requires itself."""
    for name, text in {"MLmodel": MLMODEL, "model.py": CODE, "requirements.txt": "mlflow\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "python_env.yaml").write_text("dependencies: [-r requirements.txt]\n")
    options = ("--find-links", links, "--allow-unsafe", "model.py", "--no-compile")
    said = pack(lading, tmp_path, *options)
    assert "drop      colours put back: ready: " in said
    assert packages(lading)[0] >= {"colours"}
    assert {"mlflow", "sqlparse"} <= packages(lading)[1].keys()
    assert "put back" not in pack(lading, tmp_path, *options)
    (tmp_path / "model.py").write_text("import nowhere\n" + CODE)
    done = lading.run("pack", tmp_path, "-t", "plots:1", *options)
    assert "fix: if it loads in MLflow, have that serve it: --loader mlflow" in done.stderr


def test_what_one_model_did_without_is_not_left_out_of_another(lading, tmp_path, links):
    """A lock in the cache is for what imports the same, whatever else asks for the same libraries."""
    files = {"MLmodel": MLMODEL, "requirements.txt": "colours\nseaborn\n", "model.py": CODE}
    options = ("--find-links", links, "--allow-unsafe", "model.py", "--no-compile")
    for name in ("tried", "untried"):
        (tmp_path / name).mkdir()
        for file, text in {**files, "python_env.yaml": "dependencies: [-r requirements.txt]\n"}.items():
            (tmp_path / name / file).write_text(text)
    told = "saved_input_example_info: {serving_input_path: example.json, type: ndarray}\n"
    (tmp_path / "tried/MLmodel").write_text(told + MLMODEL.lstrip())
    (tmp_path / "tried/example.json").write_text('{"inputs": [[1.0]]}')
    pack(lading, tmp_path / "tried", *options)
    assert "seaborn" in packages(lading)[1]
    assert "seaborn may not be needed" in pack(lading, tmp_path / "untried", *options)
    assert "seaborn" in packages(lading)[0]
