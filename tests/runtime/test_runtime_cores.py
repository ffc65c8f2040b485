"""What a container gives: workers by whoever's variable, GPUs in turn, threads that do not fight."""

import json
import os
import sys

import pytest

from lading_runtime import bill, cores, launch


@pytest.fixture
def packed(tmp_path):
    """A bill whose routine writes down its environment when it is loaded."""

    def make(loader="routine"):
        (tmp_path / "score.py").write_text(
            "import json, os, pathlib\n"
            "pathlib.Path(__file__).with_name('environ').write_text(json.dumps(dict(os.environ)))\n"
            "def run(data): ...\n"
        )
        document = {
            "model": {"path": str(tmp_path), "loader": loader},
            "environment": {"path": sys.prefix},
            "code": {"path": str(tmp_path), "entry": "score.py"},
        }
        (tmp_path / "bill.json").write_text(json.dumps(document))
        return bill.load(str(tmp_path / "bill.json"))

    return make


@pytest.mark.parametrize(
    ("environ", "workers"),
    [
        ({}, None),
        ({"WORKER_COUNT": "5"}, 5),
        ({"WORKER_COUNT": "5", "MLFLOW_MODELS_WORKERS": "4"}, 4),
        ({"MLFLOW_MODELS_WORKERS": "4", "SAGEMAKER_MODEL_SERVER_WORKERS": "3"}, 3),
        ({"SAGEMAKER_MODEL_SERVER_WORKERS": "3", "WEB_CONCURRENCY": "2"}, 2),
        ({"WEB_CONCURRENCY": "2", "LADING_WORKERS": "1"}, 1),
        ({"LADING_WORKERS": "many", "WEB_CONCURRENCY": "2"}, 2),
        ({"LADING_WORKERS": "0"}, None),
        ({"LADING_WORKERS": "100000"}, None),
    ],
)
def test_the_first_variable_that_makes_sense_says_how_many_workers_there_are(environ, workers):
    assert cores.asked(environ) == workers


@pytest.mark.parametrize("workers", range(1, 9))
def test_workers_times_threads_are_never_more_than_cores(monkeypatch, workers):
    monkeypatch.setattr(cores, "cores", lambda: 6)
    environ = {"LADING_WORKERS": str(workers)}
    assert cores.threads(environ, "pickle") == 1
    assert cores.threads(environ, "routine") == max(1, 6 // workers)
    assert cores.threads({}, "routine") == 1, "there are as many workers as cores"


def test_the_authors_own_number_of_threads_stands(packed):
    variables = launch.environment({"OMP_NUM_THREADS": "3", "LADING_WORKERS": "1"}, packed())
    assert variables["OMP_NUM_THREADS"] == "3"
    assert variables["OPENBLAS_NUM_THREADS"] == str(cores.cores())


def test_a_group_allows_no_more_than_its_quota(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.setattr(cores, "_GROUPS", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    assert cores.cores() == 16
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cores.cores() == 16
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert cores.cores() == 3
    (tmp_path / "cpu.max").write_text("1000 100000\n")
    assert cores.cores() == 1
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cores.cores() == 16
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("400000\n")
    assert cores.cores() == 4


def test_a_groups_limit_leaves_what_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "_GROUPS", str(tmp_path))
    assert cores.free_bytes() > 0
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert cores.free_bytes() == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert cores.free_bytes() > 3000


def test_workers_take_the_gpus_that_are_there_in_turn(tmp_path):
    assert cores.gpus({}, str(tmp_path)) == []
    assert cores.gpus({"CUDA_VISIBLE_DEVICES": "0,1"}, str(tmp_path)) == [], "named, but not there"
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert cores.gpus({}, str(tmp_path)) == ["0", "1", "2", "10"]
    assert cores.gpus({"CUDA_VISIBLE_DEVICES": "2, GPU-8932f937"}, str(tmp_path)) == ["2", "GPU-8932f937"]
    assert cores.gpus({"CUDA_VISIBLE_DEVICES": ""}, str(tmp_path)) == []


def test_there_are_as_many_workers_as_gpus_and_none_is_forked(packed, monkeypatch):
    monkeypatch.setattr(cores, "gpus", lambda _: ["0", "1", "2"])
    assert launch.plan({}, packed()) == launch.Plan(3, share=False, gpus=["0", "1", "2"])
    assert launch.plan({"LADING_WORKERS": "1"}, packed()) == launch.Plan(1, share=False, gpus=())
    assert launch.plan({}, packed("pickle")) == launch.Plan(None, share=True, gpus=[])


@pytest.mark.parametrize(("number", "gpu"), [(0, "4"), (1, "GPU-a"), (2, "4"), (5, "GPU-a")])
def test_a_worker_sees_its_own_gpu(packed, tmp_path, number, gpu):
    started = launch.Plan(6, share=False, gpus=["4", "GPU-a"]).start(packed(), number)
    try:
        assert started.socket.recv(1), "it has loaded"
        assert json.loads((tmp_path / "environ").read_text())["CUDA_VISIBLE_DEVICES"] == gpu
    finally:
        started.socket.close()
        assert started.process.wait(10) == 0
