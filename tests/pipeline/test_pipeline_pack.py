"""From a model on disk to a sealed, verified package; the whole way, for real."""

import hashlib
import io
import json
import pickle
import random
import shutil
import tarfile
import textwrap

import pytest
import sklearn

from models import IRIS, train, write_iris, write_mlflow

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def iris(lading, tmp_path_factory):
    folder = write_iris(tmp_path_factory.mktemp("iris") / "iris-model")
    return folder, lading.json("pack", folder, "-t", "iris:1")


def test_a_package_is_verified_on_every_recorded_prediction(lading, iris):
    _, packed = iris
    report = packed["report"]
    assert (report["passed"], report["matched"], report["predictions"]) == (True, 150, 150)
    assert {check["name"] for check in report["checks"]} >= {"interpreter", "distributions", "no network"}
    assert packed["references"] == ["iris:1"]
    assert packed["size_bytes"] < 110e6
    assert packed["layers"][0] <= 60


def test_packing_again_gives_the_same_digest_from_the_cache(lading, iris):
    folder, packed = iris
    done = lading.run("pack", folder, "-t", "iris:again")
    assert packed["digest"] in done.stdout
    assert "as locked" in done.stderr
    assert "all from cache" in done.stderr
    assert "as verified before" in done.stderr


def test_another_home_and_folder_give_the_same_digest(lading, iris, tmp_path):
    folder, packed = iris
    copy = tmp_path / "elsewhere" / "model"
    shutil.copytree(folder, copy)
    other = lading.copy(tmp_path / "home", "cache/downloads", linked=True)
    again = other.json("pack", copy, "-t", "other:2", "--no-verify")
    assert again["digest"] == packed["digest"]


def test_other_weights_change_the_model_layer_and_the_bill_alone(lading, iris, tmp_path):
    _, packed = iris
    folder = write_iris(tmp_path / "iris-model", seed=1)
    done = lading.run("pack", folder, "-t", "iris:2", "-v")
    assert packed["digest"] not in done.stdout
    layers = packed["layers"][0]
    assert (
        f"{layers} layers, {layers - 2} from cache" in done.stderr
        or f"{layers - 3} from cache" in done.stderr
    )


def test_the_bill_says_what_is_inside(lading, iris):
    bill = lading.json("show", "iris:1")["bill"]
    names = {one["name"]: one["version"] for one in bill["environment"]["packages"]}
    assert names["scikit-learn"] == sklearn.__version__
    assert not {"httptools", "msgspec"} & set(names)
    assert {"httptools", "msgspec"} <= {one["name"] for one in bill["server"]["packages"]}
    origins = {one["requirement"].split("==")[0]: one["origin"] for one in bill["model"]["requirements"]}
    assert origins["scikit-learn"] == "pickle"
    assert bill["examples"][0]["rows"] == 150
    assert [field["name"] for field in bill["model"]["signature"]["inputs"]] == list(IRIS.data.columns)


def test_the_lock_travels_beside_the_bill(lading, iris, tmp_path):
    lading("export", "iris:1", tmp_path / "layout")
    bill = lading.json("show", "iris:1")["bill"]
    manifest = json.loads(blob(tmp_path / "layout", iris[1]["digest"]))
    layer = blob(tmp_path / "layout", manifest["layers"][-1]["digest"])
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        assert archive.getnames()[2:] == ["opt/lading/bill.json", "opt/lading/lock.json"]
        data = archive.extractfile("opt/lading/lock.json").read()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == bill["lock"]
    names = [one["name"] for one in json.loads(data)["model"]]
    assert sorted(names) == [one["name"] for one in bill["environment"]["packages"]]


def blob(layout, digest):
    return (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def test_a_package_that_predicts_otherwise_is_not_sealed(lading, tmp_path):
    expected = train().predict(IRIS.data).tolist()
    expected[7] = 2
    folder = write_iris(tmp_path / "iris-model", outputs=expected)
    said = lading.fails(6, "pack", folder, "-t", "wrong:1")
    assert "149 of 150" in said
    assert "row 7" in said
    assert "wrong:1" in lading.fails(8, "show", "wrong:1")


def test_an_unsafe_pickle_is_refused_until_it_is_named(lading, tmp_path):
    class Canary:
        def __reduce__(self):
            return (print, ("the canary sang",))

    path = tmp_path / "model.pkl"
    model = train()
    model.extra = Canary()
    path.write_bytes(pickle.dumps(model))
    done = lading.run("pack", path, "-t", "canary:1")
    assert done.returncode == 3
    assert "builtins.print" in done.stderr
    assert "--allow-unsafe" in done.stderr
    assert "sang" not in done.stdout + done.stderr
    allowed = lading.json("pack", path, "-t", "canary:1", "--no-compile", "--allow-unsafe", "builtins.print")
    # it is loaded in the sandbox, and there alone
    assert "the canary sang" in allowed["report"]["output"]


def test_locked_refuses_to_resolve(lading, tmp_path):
    folder = write_iris(tmp_path / "iris-model")
    assert "lading.lock" in lading.fails(4, "pack", folder, "-t", "locked:1", "--locked")
    lading("lock", folder)
    assert {"lading.lock", "pylock.toml", "pylock.server.toml"} <= {one.name for one in folder.iterdir()}
    lading("pack", folder, "-t", "locked:1", "--locked", "--no-verify")
    spec = folder / "lading.yaml"
    spec.write_text(spec.read_text() + "requirements: [threadpoolctl>=3]\n")
    assert "stale" in lading.fails(4, "pack", folder, "-t", "locked:1", "--locked")


def test_offline_packs_what_is_cached(lading, iris):
    folder, packed = iris
    env = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    assert packed["digest"] in lading("pack", folder, "-t", "iris:1", "--offline", "--no-verify", env=env)


def test_a_routine_of_ones_own_is_packed_and_answers(lading, tmp_path):
    folder = tmp_path / "doubler"
    folder.mkdir()
    (folder / "factor.json").write_text("2")
    (folder / "score.py").write_text(
        "import json, pathlib\n"
        "def init():\n"
        "    global factor\n"
        "    factor = json.loads(pathlib.Path(__file__).with_name('factor.json').read_text())\n"
        "def run(data):\n"
        "    return [factor * one for one in data]\n"
    )
    (folder / "lading.yaml").write_text("example: {inputs: [1, 2.5], outputs: [2, 5.0]}\n")
    packed = lading.json("pack", folder, "-t", "doubler:1")
    assert packed["report"]["matched"] == packed["report"]["predictions"] == 2


def test_a_stream_of_a_routine_with_hints_is_verified_as_the_list_that_it_gives(lading, tmp_path):
    source = """
        from typing import Literal
        from pydantic import BaseModel, Field

        class Walk(BaseModel):
            steps: int = Field(gt=0)

        async def predict(walk: Walk, name: Literal["a", "b"] = "a"):
            for step in range(walk.steps):
                yield {"name": name, "step": step}
    """
    (tmp_path / "score.py").write_text(textwrap.dedent(source))
    outputs = [{"name": "b", "step": 0}, {"name": "b", "step": 1}]
    example = {"inputs": {"walk": {"steps": 2}, "name": "b"}, "outputs": outputs}
    (tmp_path / "lading.yaml").write_text(json.dumps({"model": "score.py", "example": example}))
    packed = lading.json("pack", tmp_path, "-t", "walk:1")
    assert packed["report"]["matched"] == packed["report"]["predictions"] == 2


def test_the_bill_lists_the_files_of_code_and_assets(lading, tmp_path):
    (code := tmp_path / "code").mkdir()
    (code / "score.py").write_text("import helper\ndef run(data):\n    return data\n")
    (code / "helper.py").write_text("")
    (words := tmp_path / "words").mkdir()
    (words / "stop.txt").write_text("the\na\n")
    (model := tmp_path / "model").mkdir()
    (model / "weights.json").write_text("[1]")
    spec = "model: model\ncode: code\nentry: score.py:run\nassets: [words]\n"
    (tmp_path / "lading.yaml").write_text(spec)
    lading("pack", tmp_path, "-t", "listed:1", "--no-verify")
    bill = lading.json("show", "listed:1")["bill"]
    assert [one["path"] for one in bill["code"]["files"]] == ["helper.py", "score.py"]
    assert [(one["path"], one["size_bytes"]) for one in bill["assets"]] == [("words/stop.txt", 6)]
    assert [one["path"] for one in bill["model"]["files"]] == ["weights.json"]


def test_an_mlflow_model_is_packed_without_mlflow(lading, tmp_path):
    folder = write_mlflow(tmp_path / "mlflow-model")
    packed = lading.json("pack", folder, "-t", "flow:1")
    assert packed["report"]["predictions"] == 3
    names = {one["name"] for one in lading.json("show", "flow:1")["bill"]["environment"]["packages"]}
    assert "mlflow" not in names


def test_a_routines_folder_is_packed_once_and_its_secrets_never(lading, tmp_path):
    folder = tmp_path / "routine"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(random.Random(0).randbytes(1_000_000))
    (folder / ".env").write_text("PASSWORD=hunter2")
    (folder / "score.py").write_text("import os\ndef run(data):\n    return sorted(os.listdir())\n")
    (folder / "lading.yaml").write_text('example: {inputs: [1], outputs: ["score.py", "weights.bin"]}\n')
    packed = lading.json("pack", folder, "-t", "once:1")
    assert packed["report"]["passed"]
    layers = lading.json("show", "once:1")["bill"]["layers"]
    sizes = {one["title"]: one["size_bytes"] for one in layers if one["kind"] in {"code", "model"}}
    assert 1_000_000 < sum(sizes.values()) < 1_010_000, sizes
