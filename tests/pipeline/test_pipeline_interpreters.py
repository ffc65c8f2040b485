"""Models of an older Python than the server runs on: each in its own, in one package, for real."""

import base64
import contextlib
import json
import textwrap
import time
import urllib.request

import pytest

from engines import free_port
from running import post

pytestmark = pytest.mark.network

TRAINER = """\
    import base64, pickle, sys
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    def run(data):
        rows, target = load_iris(return_X_y=True)
        model = RandomForestClassifier(5, random_state=0).fit(rows, target)
        return {
            "python": sys.version.split()[0],
            "model": base64.b64encode(pickle.dumps(model)).decode(),
            "outputs": model.predict(rows).tolist(),
        }
    """
SPEC = """\
    name: old
    model: model.pkl
    python: "3.9"
    requirements: [scikit-learn==1.2.2, numpy==1.26.4]
    compile: off
    example: {inputs: inputs.json, outputs: outputs.json}
    """


@pytest.fixture(scope="module")
def trained(lading, tmp_path_factory):
    """A forest that Python 3.9 and a library of its time have trained, by a package of their own."""
    folder = tmp_path_factory.mktemp("old")
    code = folder / "trainer"
    code.mkdir()
    (code / "train.py").write_text(textwrap.dedent(TRAINER))
    spec = "code: .\nentry: train.py:run\npython: '3.9'\n"
    (code / "lading.yaml").write_text(spec + "requirements: [scikit-learn==1.2.2, numpy==1.26.4]\n")
    lading("pack", code, "-t", "trainer:1", "--no-verify")
    answer = ask(lading, "trainer:1", "/invocations", {"inputs": [0]})["predictions"]
    assert answer["python"].startswith("3.9.")
    (folder / "model.pkl").write_bytes(base64.b64decode(answer["model"]))
    from sklearn.datasets import load_iris

    rows = load_iris().data.tolist()
    (folder / "inputs.json").write_text(json.dumps({"inputs": rows}))
    (folder / "outputs.json").write_text(json.dumps(answer["outputs"]))
    (folder / "lading.yaml").write_text(textwrap.dedent(SPEC))
    return folder


def ask(lading, name, route, body):
    """Serve a package, ask it once, and end it."""
    port = free_port()
    server = lading.start("serve", name, "--port", port)
    try:
        url = f"http://127.0.0.1:{port}"
        until_ready(f"{url}/v2/health/ready", server)
        return post(url + route, body)
    finally:
        server.terminate()
        server.wait(60)
        server.stdout.close()


def until_ready(url, server, patience_s=60.0):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        assert server.poll() is None, server.stdout.read()
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
            if response.status == 200:
                return
        time.sleep(0.05)
    pytest.fail(f"not ready within {patience_s} s")


def test_a_model_trained_under_python_3_9_is_verified_and_served(lading, trained):
    packed = lading.json("pack", trained, "-t", "old:1")
    report = packed["report"]
    assert (report["matched"], report["predictions"]) == (150, 150)
    bill = lading.json("show", "old:1")["bill"]
    assert bill["environment"]["python"].startswith("3.9.")
    assert bill["server"]["python"].startswith("3.11.")
    rows = json.loads((trained / "inputs.json").read_text())["inputs"][:3]
    answer = ask(lading, "old:1", "/invocations", {"inputs": rows})
    assert answer == {"predictions": json.loads((trained / "outputs.json").read_text())[:3]}


def test_what_the_server_needs_is_locked_for_its_own_python(lading, trained):
    documents = {name: (trained / name).read_text() for name in ("pylock.toml", "pylock.server.toml")}
    assert 'requires-python = "==3.9.*"' in documents["pylock.toml"]
    assert 'requires-python = "==3.11.*"' in documents["pylock.server.toml"]
    assert "cp39-cp39" in documents["pylock.toml"]
    assert "cp311-cp311" in documents["pylock.server.toml"]
