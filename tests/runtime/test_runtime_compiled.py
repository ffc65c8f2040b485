"""A compiled form behind the front: the same answers as the model's, with no worker and no library."""

import asyncio
import io
import json
import pickle
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from lading_runtime import bill as bills
from lading_runtime.compile.run import main as compile_model
from lading_runtime.front import shortcut
from lading_runtime.front.compiled import CompiledBackend
from lading_runtime.front.contracts.mlflow import invocations
from lading_runtime.front.messages import Refusal, Request
from lading_runtime.front.metrics import Metrics
from lading_runtime.front.model import Model
from lading_runtime.front.settings import Settings

HEADERS = {b"content-type": b"application/json"}


def compiled_form(model, folder):
    """Compile a model; return the folder of its form."""
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    job = {"path": str(folder), "loader": "pickle", "options": {"file": "model.pkl"}, "code": None}
    (folder / "job.json").write_text(json.dumps({**job, "mode": "auto", "always": True}))
    assert compile_model(str(folder / "job.json"), str(folder)) == 0
    assert json.loads((folder / "proof.json").read_text())["kept"], (folder / "proof.json").read_text()
    return folder


@pytest.fixture(scope="session")
def form(named_model, tmp_path_factory):
    """The folder of a forest's form."""
    return compiled_form(named_model, tmp_path_factory.mktemp("form"))


@pytest.fixture(scope="session")
def scores(iris, tmp_path_factory):
    """The folder of a regression's form: in it, how numpy would hold its input tells in the last bit."""
    model = LinearRegression().fit(iris, iris.sum(axis=1) * 0.1)
    return compiled_form(model, tmp_path_factory.mktemp("scores"))


@pytest.fixture(scope="module")
def compiled(serve, form, iris_signature):
    more = {"compiled": {"path": str(form)}, "path": "/nowhere"}
    with serve(signature=iris_signature, bill_model=more) as served:
        yield served


def in_process(form, signature, **settings):
    bill = bills.Bill("iris", "1", "0", {"loader": "pickle", "signature": signature}, "", {}, None)
    chosen = Settings(**settings)
    model = Model(bill, chosen, CompiledBackend(str(form), chosen), Metrics())
    model.learn()
    return model


@pytest.fixture(scope="module", params=["doubles", "unsigned", "regression", "unsigned regression"])
def ways(request, form, scores, iris_signature):
    """The same model twice: with the short way, where there is one, and without it."""
    folder = scores if "regression" in request.param else form
    signature = None if "unsigned" in request.param else iris_signature
    short, long = (in_process(folder, signature) for _ in range(2))
    short.shortcut = shortcut.find(short)
    assert (short.shortcut is None) is (request.param == "unsigned regression")
    return short, long


def asked(model, body):
    """Return what is answered, and whether that was in the short way."""
    request = Request(HEADERS, body, (), "POST", "/invocations", b"")
    is_short = model.shortcut is not None and model.shortcut(request) is not None
    try:
        return asyncio.run(invocations(model, request)).body, is_short
    except Refusal as refusal:
        return (refusal.status, refusal.message), is_short


def test_there_is_no_worker_and_no_library_of_the_model(compiled):
    children = Path(f"/proc/{compiled.process.pid}/task/{compiled.process.pid}/children").read_text()
    assert children == ""
    maps = Path(f"/proc/{compiled.process.pid}/maps").read_text()
    assert "numpy" not in maps
    assert "sklearn" not in maps
    assert compiled.metric(r'lading_compiled{model="iris",version="1"}') == 1


def test_every_flower_is_answered_as_the_model_does(compiled, named_model, iris):
    expected = named_model.predict(iris).tolist()
    assert compiled.predictions({"instances": iris.to_numpy().tolist()}) == expected
    split = {"columns": list(iris.columns), "data": iris.to_numpy().tolist()}
    assert compiled.predictions({"dataframe_split": split}) == expected
    assert compiled.predictions({"dataframe_records": iris.to_dict(orient="records")}) == expected


def test_the_open_inference_protocol_has_the_same_answers(compiled, named_model, iris):
    rows = iris.iloc[[0, 60, 140]].to_numpy()
    tensor = {"name": "x", "datatype": "FP64", "shape": [3, 4], "data": rows.ravel().tolist()}
    _, answer = compiled.post({"inputs": [tensor]}, "/v2/models/iris/infer")
    assert answer["outputs"][0]["data"] == named_model.predict(iris.iloc[[0, 60, 140]]).tolist()
    assert answer["outputs"][0]["datatype"] == "INT64"


def test_a_value_that_does_not_fit_is_refused_by_column_and_row(compiled, iris):
    split = {"columns": list(iris.columns), "data": [[1, 2, 3, "x"]]}
    status, answer = compiled.post({"dataframe_split": split})
    assert status == 400
    assert "petal width (cm)" in answer["error"]


def test_numpys_files_are_read_and_parquet_is_no_media_type_of_it(compiled, named_model, iris):
    target = io.BytesIO()
    np.save(target, iris.to_numpy())
    kind = {"content-type": "application/x-npy"}
    status, body, _ = compiled.ask("POST", "/invocations", target.getvalue(), kind)
    assert (status, json.loads(body)) == (200, {"predictions": named_model.predict(iris).tolist()})
    kind = {"content-type": "application/vnd.apache.parquet"}
    status, body, _ = compiled.ask("POST", "/invocations", b"PAR1", kind)
    assert (status, "Parquet" in json.loads(body)["error"]) == (415, True)


def test_a_large_request_does_not_hold_up_the_others(compiled, iris):
    row = iris.iloc[0].tolist()
    body = json.dumps({"instances": [row] * 100_000})
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(compiled.predictions, body.encode())
        answered = 0
        while not large.done():
            assert compiled.get("/v2/health/live")[0] == 200
            answered += 1
        assert len(large.result()) == 100_000
    assert answered > 5  # one or two, if they had to wait for it


def test_a_form_that_cannot_be_read_ends_the_server_with_a_line(serve, tmp_path):
    (tmp_path / "form.json").write_text("{}")
    with serve(bill_model={"compiled": {"path": str(tmp_path)}}, ready=False) as served:
        assert served.process.wait(20) == 3
        assert "the compiled model does not load" in served.log
        assert "Traceback" not in served.log


CELLS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(1 << 60), 1 << 60),
    st.none(),
    st.booleans(),
    st.sampled_from(["1", 1e39, 2**53 + 1]),
)
NUMBERS = st.floats(0, 8, width=32) | st.integers(0, 8)
ROWS = st.lists(st.lists(NUMBERS, min_size=4, max_size=4), max_size=3) | st.lists(
    st.lists(CELLS, min_size=3, max_size=5), max_size=3
)


@given(rows=ROWS, key=st.sampled_from(["instances", "inputs"]))
def test_the_short_way_answers_rows_as_the_long_way_does(ways, rows, key):
    short, long = ways
    body = json.dumps({key: rows}).encode()
    assert asked(short, body)[0] == asked(long, body)[0]


@given(rows=ROWS, data=st.data())
def test_the_short_way_answers_tables_as_the_long_way_does(ways, rows, data):
    short, long = ways
    names = [one.name for one in short.schema.columns]
    columns = data.draw(st.permutations(names) | st.just(names) | st.just([*names[:3], "other"]))
    split = {"columns": columns, "data": rows}
    records = [dict(zip(columns, row, strict=False)) for row in rows]
    both = {"dataframe_split": split, "instances": rows}
    for document in ({"dataframe_split": split}, {"dataframe_records": records}, both):
        body = json.dumps(document).encode()
        assert asked(short, body)[0] == asked(long, body)[0]


def test_what_is_usual_goes_the_short_way_and_what_is_not_the_long_one(form, iris, iris_signature):
    short = in_process(form, iris_signature)
    short.shortcut = shortcut.find(short)
    rows, names = iris.iloc[:2].to_numpy().tolist(), list(iris.columns)
    usual = (
        {"instances": rows},
        {"inputs": rows},
        {"dataframe_split": {"columns": names, "data": rows}},
        {"dataframe_records": [dict(zip(names, row, strict=True)) for row in rows]},
    )
    assert all(asked(short, json.dumps(one).encode())[1] for one in usual)
    unusual = (
        {"instances": rows, "params": {}},
        {"instances": [[1, 2, 3, None]]},
        {"instances": [[2**60] * 4]},
    )
    assert not any(asked(short, json.dumps(one).encode())[1] for one in unusual)


def test_a_server_that_casts_leniently_has_no_short_way(form, iris_signature):
    assert shortcut.find(in_process(form, iris_signature, lenient=True)) is None


def test_nothing_heavy_is_imported_to_answer():
    script = "import sys, lading_runtime.front.run, lading_runtime.front.shortcut; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not re.search(r"\b(numpy|pandas|grpc|uvicorn|concurrent.futures.process)\b", done.stdout)


def test_what_the_form_is_at_when_the_time_is_over_is_refused(form, iris_signature, iris, monkeypatch):
    model = in_process(form, iris_signature)
    model.backend.rows_at_once = 0
    began, goes_on = threading.Event(), threading.Event()
    answer = model.backend.form.answer

    def slow(*arguments):
        began.set()
        goes_on.wait(10)
        return answer(*arguments)

    monkeypatch.setattr(model.backend.form, "answer", slow)
    body = json.dumps({"instances": iris.head(2).to_numpy().tolist()}).encode()
    request = Request(HEADERS, body, (), "POST", "/invocations", b"")

    async def end():
        waiting = [asyncio.ensure_future(invocations(model, request)) for _ in range(2)]
        await asyncio.to_thread(began.wait, 10)
        model.backend.abandon("the time is over")
        told = await asyncio.gather(*waiting, return_exceptions=True)
        goes_on.set()
        await model.backend.close(1.0)
        return [(one.status, one.message) for one in told]

    assert asyncio.run(end()) == [(503, "the time is over")] * 2
