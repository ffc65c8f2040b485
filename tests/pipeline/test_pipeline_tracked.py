"""Models that MLflow keeps, wherever lading takes a model."""

import json
import os
import pickle
import shutil

import pytest
import yaml

from keeping import COMMIT, MODELS, RUNS, Kept, files_of, keep
from models import write_mlflow
from running import Inside

ROUTINE = """
import os

def init():
    global found
    found = sorted(os.listdir(os.environ["AZUREML_MODEL_DIR"]))

def run(data):
    return found
"""
SECRET = "hunter2hunter2"
SPEC = {"code": "score.py", "entry": "score.py", "requirements": [], "example": {"inputs": {}}}


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    """A server whose second version is a real model."""
    with keep(Kept(3, "mlflow-artifacts:", tmp_path / "kept")) as keeper:
        place = keeper.kept.folder / keeper.kept.model(2)
        shutil.rmtree(place)
        write_mlflow(place)
        # a pickle that a routine of one's own may read
        (keeper.kept.folder / keeper.kept.model(1) / "model.pkl").write_bytes(pickle.dumps([1]))
        keeper.login = f"Bearer {SECRET}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", keeper.url)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
        yield keeper


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """A lading with a home of its own, in this process."""
    return Inside(tmp_path / "home", monkeypatch, capsys)


def test_a_package_of_a_tracked_model_says_how_that_was_made(lading, keeper, here, tmp_path):
    env = {name: os.environ[name] for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN")}
    (tmp_path / "score.py").write_text(ROUTINE)
    (tmp_path / "lading.yaml").write_text(json.dumps({**SPEC, "model": "models:/iris/1"}))
    made = lading.run("pack", tmp_path, "-t", "tracked:1", "--no-verify", env=env)
    assert made.returncode == 0, made.stderr
    there = here.elsewhere(lading.home)
    bill = there.json("show", "tracked:1")["bill"]
    assert bill["name"] == "iris", "it is named after the registered model"
    assert bill["model"]["record"] == {
        "asked": "models:/iris/1",
        "server": keeper.url,
        "name": "iris",
        "version": "1",
        "model_id": MODELS[0],
        "run_id": RUNS[0],
        "location": f"mlflow-artifacts:/{keeper.kept.model(1)}",
        "commit": COMMIT,
        "metrics": {"accuracy": 0.5},
        "params": {"C": "1.0"},
    }
    assert {one["path"] for one in bill["model"]["files"]} == set(files_of(1))
    shown = there("show", "tracked:1")
    assert (
        f"recorded     models:/iris/1 at {keeper.url}: version 1 of iris, {MODELS[0]}, run {RUNS[0]}" in shown
    )
    assert f"git commit {COMMIT}" in shown
    assert "metrics: accuracy 0.5" in shown
    assert SECRET not in f"{made.stdout}{made.stderr}{shown}{bill}"
    assert "made again: the same bytes" in lading("rebuild", "tracked:1", "--check")


def test_a_tracked_model_is_inspected_and_remembered_for_when_there_is_no_network(keeper, here, monkeypatch):
    found = here.run("inspect", "models:/iris@champion")
    assert found.stdout.startswith("mlflow sklearn LogisticRegression")
    assert "models:/iris@champion is version 2 of iris" in found.stderr
    document = here.json("inspect", f"runs:/{RUNS[1]}/classifier")
    assert (document["format"], document["record"]["model_id"]) == ("mlflow", MODELS[1])
    keeper.asked.clear()
    (here.home / "x.yaml").write_text("model: models:/iris@champion\n")
    locked = here.run("lock", here.home / "x.yaml", "--check", "--offline")
    assert "is what it was when it was last fetched" in locked.stderr
    assert "lading.lock" in locked.stderr
    assert not keeper.asked
    said = here.fails(8, "lock", "models:/iris/3", "--offline")
    assert "models:/iris/3: is not in the cache, and tracking servers are out of reach offline" in said
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "is not in the cache" in here.fails(8, "lock", "models:/iris@champion", "--offline")


def test_a_tracked_model_has_a_signature_and_may_be_converted(keeper, here, tmp_path):
    told = here.json("signature", "show", "models:/iris@champion")["signature"]
    assert told == here.json("signature", "infer", "models:/iris@champion")["signature"]
    written = here.json("signature", "convert", "models:/iris@champion", "--to", "mlflow")
    assert written["value"] == told
    assert told["inputs"]
    # it is there, and is no model of PyTorch's
    said = here.fails(3, "convert", "models:/iris@champion", "--to", "pt2", "-o", tmp_path / "net.pt2")
    assert "is for a model of PyTorch" in said


def test_a_draft_names_the_model_as_it_was_asked_for(keeper, here, tmp_path):
    (tmp_path / "project").mkdir()
    here("init", "models:/iris@champion", cwd=tmp_path / "project")
    written = yaml.safe_load((tmp_path / "project/lading.yaml").read_text())
    assert (written["name"], written["model"]) == ("iris", "models:/iris@champion")
    assert here.json("inspect", tmp_path / "project")["flavour"] == "mlflow sklearn LogisticRegression"


def test_what_is_wrong_with_a_uri_is_told_in_its_place(keeper, here, tmp_path):
    (tmp_path / "lading.yaml").write_text("name: x\nmodel: runs:/../up\n")
    said = here.fails(2, "inspect", tmp_path)
    assert "lading.yaml:2:8: model: is no URI of a model" in said
    assert "models:/NAME@ALIAS" in said
    assert "aliases there: champion" in here.fails(8, "inspect", "models:/iris@nobody")
    assert "is no URI of a model" in here.fails(2, "pack", "models:/", "-t", "x:1")


def test_a_tracked_model_is_registered_in_a_workspace(keeper, here, tmp_path):
    written = "name: m\ntype: mlflow_model\npath: models:/iris@champion\n"
    (tmp_path / "model.yml").write_text(written)
    made = here.json("model", "create", "-f", tmp_path / "model.yml")
    assert {one["path"].partition("/")[0] for one in made["files"]} == {"iris"}
    assert made["properties"]["mlflow.run_id"] == RUNS[1]
    again = here.json(
        "model", "create", "-n", "m", "--type", "mlflow_model", "-p", f"runs:/{RUNS[1]}/classifier"
    )
    assert {one["path"].partition("/")[0] for one in again["files"]} == {"classifier"}
    assert "is no URI of a model" in here.fails(2, "model", "create", "-n", "m", "-p", "models:/")
