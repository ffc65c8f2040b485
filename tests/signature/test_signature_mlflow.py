"""What is recorded of MLflow in mlflow_reads.json and mlflow_infers.json, asked of MLflow itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings

from datafiles import write
from lading.core import grammar
from signatures import signatures

HERE = Path(__file__).parent
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow") / "env"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    env = {**os.environ, "VIRTUAL_ENV": str(folder)}
    wanted = ["mlflow==3.17.2", "pandas>=3,<4", "pyarrow"]
    # MLflow's metadata asks for an older pandas than the one that was recorded with
    overrides = folder.parent / "overrides.txt"
    overrides.write_text("pandas>=3,<4\n")
    command = [uv, "pip", "install", "--quiet", "--override", overrides, *wanted]
    subprocess.run(command, check=True, env=env)

    def ask(*arguments, documents=None):
        command = [folder / "bin" / "python", HERE / "of_mlflow.py", *arguments]
        text = None if documents is None else json.dumps(documents)
        run = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    return ask


def test_mlflow_still_infers_what_is_recorded(mlflow, tmp_path):
    folder = tmp_path / "samples"
    folder.mkdir()
    write(folder)
    assert mlflow(str(folder)) == json.loads((HERE / "mlflow_infers.json").read_text("utf-8"))


def test_mlflow_still_reads_what_is_recorded(mlflow):
    cases = json.loads((HERE / "mlflow_reads.json").read_text("utf-8"))
    assert repr(mlflow(documents=[document for document, _ in cases])) == repr([read for _, read in cases])


def is_null_time(param):
    return param.type == "datetime" and param.default is None


def test_mlflow_reads_any_signature_as_we_do(mlflow):
    found = []

    @settings(max_examples=300)
    @given(signatures)
    def collect(one):
        found.append(one)

    collect()
    documents = [
        {key: rows for key, rows in one.to_json().items() if rows}
        for one in found
        # which MLflow writes and cannot read: vectors within objects; times of null it reads and cannot write
        if "sparkml_vector" not in repr(one) and one.inputs and not any(map(is_null_time, one.params))
    ]
    assert len(documents) > 50
    for document, read in zip(documents, mlflow(documents=documents), strict=True):
        assert read is not None, json.dumps(document)
        for part in ("inputs", "outputs"):  # to MLflow every tensor is required
            document[part] = [
                {key: one for key, one in row.items() if row["type"] != "tensor" or key != "required"}
                for row in document.get(part, [])
            ]
        assert grammar.read(read) == grammar.read(document)
