"""A while of coverage-guided fuzzing of what clients send."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HARNESS = Path(__file__).parent / "fuzz_oip.py"


@pytest.mark.slow
def test_fuzzing_finds_nothing_but_refusals(tmp_path):
    pytest.importorskip("atheris", reason="it has no wheel for this Python")
    pb = pytest.importorskip("tritonclient.grpc.service_pb2")
    (corpus := tmp_path / "corpus").mkdir()
    numbers = np.arange(4.0).tobytes()
    entry = {"name": "x", "shape": [1, 4], "datatype": "FP64", "parameters": {"binary_data_size": 32}}
    head = json.dumps({"inputs": [entry]}).encode()
    (corpus / "http").write_bytes(b"\0" + len(head).to_bytes(2, "little") + head + numbers)
    request = pb.ModelInferRequest(model_name="m", raw_input_contents=[numbers])
    request.inputs.add(name="x", datatype="FP64", shape=[1, 4])
    (corpus / "raw").write_bytes(b"\1" + request.SerializeToString())
    request = pb.ModelInferRequest(model_name="m")
    contents = pb.InferTensorContents(int_contents=[1, -2], bytes_contents=[b"x"])
    request.inputs.add(name="x", datatype="INT16", shape=[2], contents=contents)
    (corpus / "typed").write_bytes(b"\1" + request.SerializeToString())
    done = subprocess.run(
        [sys.executable, HARNESS, "-max_total_time=60", "-rss_limit_mb=1024", "-max_len=4096", corpus],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "DONE" in done.stderr
