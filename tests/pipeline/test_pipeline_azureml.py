"""Azure ML's servers as they are: packed, laid out, verified, served and scored by."""

import json
import urllib.error
import urllib.request

import pytest
import yaml

from engines import free_port
from running import post, wait_for

pytestmark = pytest.mark.network

ONLINE = """\
import json, os

def init():
    global seen
    folder = os.environ["AZUREML_MODEL_DIR"]
    seen = {
        "uid": os.getuid(),
        "app": os.environ["AML_APP_ROOT"],
        "model": [open(os.path.join(folder, "weights", "w.txt")).read(), folder],
        "beside": __import__("beside").WORD,
        "workers": os.environ["WORKER_COUNT"],
    }

def run(raw_data):
    return {**seen, "sum": sum(json.loads(raw_data)["data"])}
"""
SEEN = {
    "uid": 65532,
    "app": "/var/azureml-app/onlinescoring/inner",
    "model": ["0.5", "/var/azureml-app/azureml-models/sums/3"],
    "beside": "beside",
    "workers": "2",
}


@pytest.fixture(scope="module")
def online(lading, tmp_path_factory):
    """A package with a scoring script in a subfolder of its code, and a model that is a folder."""
    folder = tmp_path_factory.mktemp("online")
    (inner := folder / "onlinescoring" / "inner").mkdir(parents=True)
    (inner / "score.py").write_text(ONLINE)
    (inner / "beside.py").write_text("WORD = 'beside'\n")
    (weights := folder / "weights").mkdir()
    (weights / "w.txt").write_text("0.5")
    spec = {
        "name": "sums",
        "version": "3",
        "model": "weights",
        "code": "onlinescoring",
        "entry": "inner/score.py",
        "requirements": [],
        "server": {"type": "azureml_online", "version": "1.5.1"},
        "environment_variables": {"WORKER_COUNT": "2"},
        "example": {"inputs": {"data": [1, 2]}, "outputs": {**SEEN, "sum": 3}},
    }
    (folder / "lading.yaml").write_text(yaml.safe_dump(spec))
    lading("pack", folder)
    return "sums:3"


@pytest.fixture(scope="module")
def served(lading, online):
    port = free_port()
    process = lading.start("serve", online, "--port", port)
    try:
        wait_for(f"http://127.0.0.1:{port}/", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


def status_of(url, body):
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    with caught.value as answer:
        return answer.code, json.load(answer)


def test_the_real_server_runs_the_script_in_azures_layout(served):
    assert post(f"{served}/score", {"data": [1, 2, 3]}) == {**SEEN, "sum": 6}
    with urllib.request.urlopen(f"{served}/", timeout=30) as answer:
        assert answer.read() == b"Healthy"
        assert answer.headers["x-ms-server-version"] == "azmlinfsrv/1.5.1"
    status, document = status_of(f"{served}/score", b"\xff")
    assert (status, document["message"][:32]) == (400, "Input cannot be decoded as UTF-8")


def test_it_listens_where_it_is_told_to_alone(served):
    elsewhere = served.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(elsewhere, timeout=5)


def test_what_the_image_says_fits_the_server(lading, online):
    bill = lading.json("show", online)["bill"]
    assert bill["server"]["port"] == 5001
    assert bill["server"]["routes"] == {"liveness": "/", "readiness": "/", "scoring": "/score"}
    assert bill["model"]["path"] == "/var/azureml-app/azureml-models/sums/3/weights"
    names = {one["name"] for one in bill["environment"]["packages"]}
    assert "azureml-inference-server-http" in {one.replace("_", "-") for one in names}


BATCH = """\
import os

def init():
    global weight
    folder = os.environ["AZUREML_MODEL_DIR"]
    weight = float(open(os.path.join(folder, "w.txt")).read())

def run(mini_batch):
    rows = []
    for path in mini_batch:
        text = open(path).read()
        if text == "die":
            os._exit(7)
        rows.append([os.path.basename(path), weight * len(text)])
        os.makedirs(os.environ["AZUREML_BI_OUTPUT_PATH"], exist_ok=True)
        with open(os.path.join(os.environ["AZUREML_BI_OUTPUT_PATH"], os.path.basename(path)), "w") as file:
            file.write(text.upper())
    return rows
"""


@pytest.fixture(scope="module")
def batch(lading, tmp_path_factory):
    folder = tmp_path_factory.mktemp("batch")
    (folder / "score.py").write_text(BATCH)
    (folder / "w.txt").write_text("0.5")
    spec = {
        "name": "lengths",
        "model": "w.txt",
        "code": "score.py",
        "requirements": [],
        "server": "azureml_batch",
        "example": {"inputs": {"files": {"a.txt": "hello"}}, "outputs": [["a.txt", 2.5]]},
    }
    (folder / "lading.yaml").write_text(yaml.safe_dump(spec))
    lading("pack", folder)
    return "lengths:latest"


def test_it_is_made_again_to_the_same_digest(lading, batch):
    lading("rebuild", batch, "--check")


def test_a_batch_script_scores_files_and_a_crash_costs_its_mini_batch_alone(lading, batch, tmp_path):
    (data := tmp_path / "data").mkdir()
    for number, text in enumerate(["a", "die", "ccc"]):
        (data / f"{number}.txt").write_text(text)
    output = tmp_path / "out.csv"
    command = ("score", batch, "--data", data, "--mini-batch-size", 1, "--retries", 0, "--output", output)
    tally = lading.json(*command)
    assert output.read_text() == "0.txt,0.5\n2.txt,1.5\n"
    assert (tally["failed_files"], tally["failures"][0]["files"]) == (1, ["/var/lading-data/1.txt"])
    assert "ended with 7" in tally["failures"][0]["error"]
    assert (tmp_path / "2.txt").read_text() == "CCC"
    (data / "1.txt").write_text("bb")
    assert lading.json(*command)["resumed"] == 2
    assert sorted(output.read_text().split()) == ["0.txt,0.5", "1.txt,1.0", "2.txt,1.5"]


def test_of_a_summary_only_what_the_script_writes_is_kept(lading, batch, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    lading("score", batch, "--data", tmp_path / "a.txt", "--append", "summary", "--output", tmp_path / "out")
    assert [(one.name, one.read_text()) for one in (tmp_path / "out").iterdir()] == [("a.txt", "A")]


def test_a_server_of_requests_alone_scores_no_files(lading, online, tmp_path):
    (tmp_path / "a.txt").touch()
    assert "answers requests one by one" in lading.fails(2, "score", online, "--data", tmp_path / "a.txt")
