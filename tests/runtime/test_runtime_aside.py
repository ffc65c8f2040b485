"""Large bodies and answers: read and printed by another process, as small ones are in the front."""

import io
import json
import os
import pickle
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lading_runtime.front.contracts.cog import Unprocessable
from lading_runtime.front.decode import LARGE_BYTES
from lading_runtime.front.messages import Refusal
from lading_runtime.router import app as router

ROWS = 60_000
JSON = "application/json"
EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}


def readers(served):
    """Return the processes that read for a server."""
    found = []
    tasks = Path(f"/proc/{served.process.pid}/task").glob("*/children")
    for pid in map(int, " ".join(one.read_text() for one in tasks).split()):
        try:
            if b"lading_runtime.front.reading" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def text(document):
    return json.dumps(document).encode(), {}


def archive(rows):
    target = io.BytesIO()
    np.savez_compressed(target, x=rows)
    return target.getvalue(), {}


def tensor(rows, **more):
    return {"inputs": [{"name": "x", "shape": list(rows.shape), "datatype": "FP64", **more}]}


def integers(rows):
    """Write numbers that are none of the model's type: each is looked at."""
    document = tensor(rows, parameters={"binary_data_size": rows.size * 8})
    document["inputs"][0]["datatype"] = "INT64"
    head = json.dumps(document).encode()
    return head + rows.astype("<i8").tobytes(), {"inference-header-content-length": str(len(head))}


def lines(rows):
    return "\n".join(",".join(map(str, row)) for row in rows.tolist()).encode(), {}


WAYS = [
    ("/invocations", JSON, lambda rows: text({"instances": rows.tolist()})),
    ("/invocations", "text/csv", lines),
    ("/invocations", "application/x-npz", archive),
    ("/predictions", JSON, lambda rows: text({"input": {"instances": rows.tolist()}})),
    (
        "/v1/models/iris:predict",
        "application/cloudevents+json",
        lambda rows: text({**EVENT, "data": {"instances": rows.tolist()}}),
    ),
    ("/v2/models/iris/infer", JSON, lambda rows: text(tensor(rows, data=rows.tolist()))),
    ("/v2/models/iris/infer", "application/octet-stream", integers),
]


def predictions(document):
    if "outputs" in document:
        return document["outputs"][0]["data"]
    found = document.get("predictions", document.get("output", document.get("data")))
    return found["predictions"] if isinstance(found, dict) else found


@pytest.mark.parametrize(("path", "kind", "written"), WAYS, ids=[f"{path} {kind}" for path, kind, _ in WAYS])
def test_what_is_large_is_answered_as_what_is_small(iris_server, iris, path, kind, written):
    rows = np.resize(iris.to_numpy().round(), (ROWS, 4))
    answers = []
    for some in (rows, rows[:150]):
        body, headers = written(some)
        status, answer, _ = iris_server.ask("POST", path, body, {"content-type": kind, **headers})
        assert status == 200, answer[:500]
        answers.append(predictions(json.loads(answer)))
    large, small = answers
    assert len(large) == ROWS
    assert large == np.resize(small, ROWS).tolist()
    assert readers(iris_server)


@pytest.mark.parametrize(
    ("path", "wrap", "status"),
    [
        ("/invocations", lambda rows: {"instances": rows}, 400),
        ("/predictions", lambda rows: {"input": {"instances": rows}}, 422),
        ("/v1/models/iris:predict", lambda rows: {**EVENT, "data": {"instances": rows}}, 400),
    ],
)
def test_what_is_large_is_refused_as_what_is_small(iris_server, path, wrap, status):
    kind = "application/cloudevents+json" if "data" in wrap(()) else JSON
    told = []
    for count in (ROWS, 3):
        body = json.dumps(
            wrap([*[[5.1, 3.5, 1.4, 0.2]] * (count - 2), [1, 2, 3, "x"], [1, 2, 3, 4]])
        ).encode()
        assert (len(body) > LARGE_BYTES) == (count == ROWS)
        got, answer, _ = iris_server.ask("POST", path, body, {"content-type": kind})
        assert got == status
        told.append(json.loads(answer)["error"].replace(f"row {count - 2}", "row N"))
    assert told[0] == told[1]


def test_a_routine_is_given_a_large_body_as_it_is_and_its_large_answer_is_printed(serve):
    code = "def run(data):\n    return data\n"
    with serve(entry="score.py", files={"score.py": code}) as served:
        document = {"input": {"text": "ä" * LARGE_BYTES, "more": [1, None]}}
        assert served.post(document, "/score") == (200, document)
        status, answer = served.post(document, "/predictions")
        assert (status, answer["output"], answer["input"]) == (200, document["input"], document["input"])


def test_a_reader_that_was_killed_is_followed_by_another(iris_server):
    body = {"instances": [[5.1, 3.5, 1.4, 0.2]] * ROWS}
    assert len(iris_server.predictions(body)) == ROWS
    for pid in readers(iris_server):
        os.kill(pid, signal.SIGKILL)
    assert len(iris_server.predictions(body)) == ROWS


def test_a_reader_that_ends_amid_a_body_costs_that_request_alone(serve, bare_model):
    with serve(bare_model, environ={"LADING_REQUEST_TIMEOUT_S": "2"}) as served, ThreadPoolExecutor() as pool:
        body = {"instances": [[5.1, 3.5, 1.4, 0.2]] * ROWS}
        assert len(served.predictions(body)) == ROWS
        for pid in readers(served):
            os.kill(pid, signal.SIGSTOP)
        stuck = pool.submit(served.post, body)
        assert served.predictions({"instances": [[5.1, 3.5, 1.4, 0.2]]}) == [0]
        status, answer = stuck.result()
        assert status in {200, 413}, answer  # another reader may have been free
        assert len(served.predictions(body)) == ROWS
        assert served.stop() == 0


def test_a_refusal_travels_between_processes():
    refusal = Unprocessable("no", "input", "x")
    refusal.headers = {"a": "b"}
    back = pickle.loads(pickle.dumps(refusal))
    assert (type(back), back.status, back.headers) == (Unprocessable, 422, {"a": "b"})
    assert back.response() == refusal.response()
    plain = pickle.loads(pickle.dumps(Refusal(413, "large", reason="r")))
    assert (plain.status, plain.message, plain.reason, str(plain)) == (413, "large", "r", "large")


def test_orders_to_a_server_of_several_packages_are_small():
    orders = {"parameters": {"version": "2", "more": "x" * LARGE_BYTES}}
    with pytest.raises(Refusal) as caught:
        router._object(json.dumps(orders).encode())
    assert caught.value.status == 413
    assert router._object(b'{"ready": true}') == {"ready": True}
