"""Folders as MLflow writes them, made by hand: loaded without it, models answer as their library does."""

import json
import re
from pathlib import Path

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_iris

from lading.model import inspect, mlflow_lean
from lading_runtime.loaders import xgboost as loader

MLMODEL = """\
flavors:
  {flavour}: {{data: {file}, model_class: {kind}}}
  python_function: {{data: {file}, loader_module: mlflow.{flavour}, python_version: 3.11.7}}
mlflow_version: 3.17.2
signature:
  inputs: '{inputs}'
"""


def folder_of(path, flavour, file, kind, names):
    inputs = json.dumps([{"type": "double", "name": name, "required": True} for name in names])
    text = MLMODEL.format(flavour=flavour, file=file, kind=kind, inputs=inputs)
    (path / "MLmodel").write_text(text)
    (path / "requirements.txt").write_text("mlflow==3.17.2\n")
    return path


def xgboost_classifier(path, frame):
    model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(frame, load_iris().target)
    model.save_model(path / "model.ubj")
    return folder_of(path, "xgboost", "model.ubj", "xgboost.sklearn.XGBClassifier", frame), model.predict(
        frame
    )


def xgboost_booster(path, frame):
    data = xgboost.DMatrix(frame, load_iris().target)
    model = xgboost.train({"objective": "reg:squarederror", "nthread": 1}, data, 4)
    model.save_model(path / "model.json")
    return folder_of(path, "xgboost", "model.json", "xgboost.core.Booster", frame), model.predict(data)


def lightgbm_booster(path, frame):
    data = lightgbm.Dataset(frame, load_iris().target)
    model = lightgbm.train({"verbose": -1, "num_threads": 1}, data, 4)
    model.save_model(path / "model.lgb")
    return folder_of(path, "lightgbm", "model.lgb", "lightgbm.basic.Booster", frame), model.predict(frame)


@pytest.mark.parametrize("save", [xgboost_classifier, xgboost_booster, lightgbm_booster])
def test_a_model_in_its_librarys_own_format_answers_as_the_library_does(serve, tmp_path, iris, save):
    frame = iris.rename(columns=lambda name: re.sub(r"\W+", "_", name))
    folder, expected = save(tmp_path, frame)
    facts = inspect(folder)
    options = {"path": str(folder), "loader": facts.loader, "loader_options": facts.loader_options}
    turned = frame.iloc[:, ::-1]  # columns go by name
    with serve(signature=facts.signature.to_json(), bill_model=options) as served:
        got = served.predictions({"dataframe_split": turned.to_dict(orient="split")})
        assert np.array_equal(np.asarray(got, dtype=expected.dtype), expected)
        status, answer = served.post({"dataframe_split": {"columns": list(frame), "data": [["x", 1, 2, 3]]}})
        assert status == 400, answer


def test_an_estimator_can_be_compiled_unless_requests_have_parameters(tmp_path, iris):
    folder, _ = xgboost_classifier(tmp_path, iris.rename(columns=lambda name: re.sub(r"\W+", "_", name)))
    options = inspect(folder).loader_options
    assert loader.load(str(folder), options).estimator is not None
    params = json.dumps([{"name": "output_margin", "type": "boolean", "default": True, "shape": None}])
    with (folder / "MLmodel").open("a") as stream:
        stream.write(f"  params: '{params}'\n")
    assert loader.load(str(folder), inspect(folder).loader_options).estimator is None


def test_the_page_names_every_flavour_and_its_loader():
    page = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text()
    table = page.partition("| flavour |")[2].partition("\n\n")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    flavours = {name for row in rows for name in re.findall(r"`(\w+)`", row[1].partition(":")[0])}
    assert flavours == {*mlflow_lean.FLAVOURS, "python_function", "sklearn"}
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row[2])}
    loaders = Path(mlflow_lean.__file__).parents[2] / "lading_runtime" / "loaders"
    assert all((loaders / f"{name}.py").is_file() for name in told)
    for flavour in mlflow_lean.FLAVOURS.keys() - {"tensorflow"}:
        assert any(f"`{flavour}`" in row[2] for row in rows), flavour
