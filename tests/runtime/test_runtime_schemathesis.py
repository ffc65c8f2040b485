"""Requests made by schemathesis from the server's own document, fitting and not: none of them is a 5xx."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SIGNATURE = {
    "inputs": [
        {"name": "sepal", "type": "double", "required": True},
        {"name": "count", "type": "long", "required": True},
        {"name": "flag", "type": "boolean", "required": True},
        {"name": "single", "type": "float", "required": False},
    ],
    "outputs": [{"type": "long", "required": True}],
    "params": [{"name": "top", "type": "integer", "default": 3, "shape": None}],
}
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture(scope="module")
def url(serve, bare_model, free_port):
    port = free_port()
    environ = {"LADING_UDS": "", "LADING_PORT": str(port), "LADING_HOST": "127.0.0.1", "LADING_WEBHOOKS": "0"}
    with serve(bare_model, signature=SIGNATURE, ready=False, environ=environ) as served:
        served.await_log("listening on")
        yield f"http://127.0.0.1:{port}"


def test_schemathesis_finds_no_server_error_and_no_answer_that_is_not_documented(url, tmp_path):
    program = Path(sys.executable).with_name("schemathesis")
    generation = ["--phases", "examples,coverage,fuzzing", "--max-examples", "6", "--seed", "1"]
    command = [program, "run", f"{url}/openapi.json", "--checks", CHECKS, "--mode", "all", *generation]
    env = {**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "API Operations" in done.stdout, done.stdout
