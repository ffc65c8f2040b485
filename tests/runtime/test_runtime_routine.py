"""Inference routines: what they are given, what becomes of what they return, and what they may do wrong."""

import json
import os
from pathlib import Path

import pytest


def test_run_is_given_the_parsed_body_as_it_was_sent(serve):
    code = "def run(data):\n    return data"
    with serve(entry="score.py", files={"score.py": code}) as served:
        for document in (
            {"a": [1, {"b": None}]},
            [1, 2.5],
            "text",
            7,
            None,
            {"instances": [[1]], "other": 1},
        ):
            assert served.predictions(document) == document


def test_init_runs_once_before_the_first_request(serve):
    code = """
        count = 0
        def init():
            global count
            count += 1
        def run(data):
            return count
    """
    with serve(entry="score.py", files={"score.py": code}) as served:
        assert [served.predictions({}) for _ in range(3)] == [1, 1, 1]


def test_the_model_folder_is_an_argument_or_a_variable(serve):
    code = """
        import os
        def init(folder):
            global seen
            seen = [folder, os.environ["AZUREML_MODEL_DIR"], os.environ["LADING_MODEL_DIR"]]
        def run(data):
            return seen
    """
    with serve(entry="score.py:run", files={"score.py": code}) as served:
        folder = str(served.log_path.parent / "model")
        assert served.predictions({}) == [folder, folder, folder]


@pytest.mark.parametrize(
    ("parameter", "seen"),
    [
        ("raw_data", "str"),
        ("data: str", "str"),
        ("data: bytes", "bytes"),
        ("data: 'str'", "str"),
        ("data", "list"),
    ],
)
def test_a_routine_may_ask_for_the_raw_text(serve, parameter, seen):
    name = parameter.split(":")[0]
    code = f"def run({parameter}):\n    return [type({name}).__name__, len({name})]"
    with serve(entry="score.py", files={"score.py": code}) as served:
        status, body, _ = served.ask("POST", "/invocations", b"[1, 2 ]", {"content-type": "application/json"})
        assert (status, json.loads(body)) == (200, {"predictions": [seen, 2 if seen == "list" else 7]})


def test_a_class_loads_once_and_predicts(serve):
    code = """
        class Doubler:
            def load(self, folder):
                self.factor = 2
            def predict(self, data):
                return [self.factor * one for one in data]
    """
    with serve(entry="deep/score.py:Doubler", files={}, ready=False) as unused:
        assert unused.process.wait(10) == 3
        assert "no such Python file" in unused.log
    with serve(entry="score.py:Doubler", files={"score.py": code}) as served:
        assert served.predictions([1, 2]) == [2, 4]


def test_a_plain_function_may_import_its_neighbours(serve):
    files = {
        "score.py": "from neighbour import factor\ndef double(data):\n    return data * factor",
        "neighbour.py": "factor = 2",
    }
    with serve(entry="score.py:double", files=files) as served:
        assert served.predictions(21) == 42


def test_what_python_can_return_has_a_json_form(serve):
    code = """
        import datetime, decimal
        import numpy as np, pandas as pd
        VALUES = {
            "nothing": None,
            "numbers": [np.int64(1), np.float32(0.5), float("nan"), float("inf")],
            "array": np.array([[1, 2], [3, 4]], dtype="uint8"),
            "half": np.array([0.5], dtype="float16"),
            "scalar": np.array(7.5),
            "truths": np.array([True, False]),
            "empty": np.zeros((0, 3)),
            "deep": np.arange(8).reshape(2, 2, 2),
            "texts": np.array(["a", "b"]),
            "times": np.array(["2026-01-02T03:04:05", "NaT"], dtype="datetime64[ns]"),
            "frame": pd.DataFrame({"a": [1, 2], "b": [0.5, float("nan")], "c": ["x", None]}),
            "series": pd.Series([1.5], name="y"),
            "unnamed": pd.Series([3, 7]),
            "time": datetime.datetime(2026, 1, 2, 3, 4, 5),
            "bytes": [b"\\x00\\xff"],
            "set": {1},
            "tuple": (1, "é"),
            "keys": {1: 2, None: float("nan")},
            "nested": {"a": np.array([1.0, float("nan")]), "b": pd.DataFrame({"x": [1]})},
        }
        def run(data):
            return VALUES[data]
    """
    expected = {
        "nothing": None,
        "numbers": [1, 0.5, None, None],
        "array": [[1, 2], [3, 4]],
        "half": [0.5],
        "scalar": 7.5,
        "truths": [True, False],
        "empty": [],
        "deep": [[[0, 1], [2, 3]], [[4, 5], [6, 7]]],
        "texts": ["a", "b"],
        "times": ["2026-01-02T03:04:05", None],
        "frame": [{"a": 1, "b": 0.5, "c": "x"}, {"a": 2, "b": None, "c": None}],
        "series": [{"y": 1.5}],
        "unnamed": [3, 7],
        "time": "2026-01-02T03:04:05",
        "bytes": ["AP8="],
        "set": [1],
        "tuple": [1, "é"],
        "keys": {"1": 2, "null": None},
        "nested": {"a": [1.0, None], "b": [{"x": 1}]},
    }
    with serve(entry="score.py", files={"score.py": code}) as served:
        assert {name: served.predictions(name) for name in expected} == expected


POISON = """
    import ctypes, os, signal, sys, threading, time
    class Odd:
        pass
    class HTTPException(Exception):
        status_code, detail = 422, "a number is wanted"
    def run(data):
        if data == "raise":
            raise KeyError("the model's own reason")
        if data == "value":
            raise ValueError("nothing to do with the input")
        if data == "unfit":
            raise HTTPException
        if data == "exit":
            sys.exit(4)
        if data == "odd":
            return Odd()
        if data == "loop":
            value = []
            value.append(value)
            return value
        if data == "deep":
            value = []
            for _ in range(100_000):
                value = [value]
            return value
        if data == "memory":
            raise MemoryError
        if data == "die":
            os._exit(3)
        if data == "segfault":
            ctypes.string_at(0)
        if data == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if data == "close":
            os.closerange(3, 64)
        if data == "garble":
            for descriptor in range(3, 64):
                try:
                    os.write(descriptor, b"x" * 64)
                except OSError:
                    pass
        return data
"""


@pytest.fixture(scope="module")
def poisoned(serve):
    with serve(
        entry="score.py", files={"score.py": POISON}, environ={"LADING_REQUEST_TIMEOUT_S": "5"}
    ) as served:
        yield served


@pytest.mark.parametrize("poison", ["raise", "value", "odd", "loop", "deep", "memory"])
def test_what_a_routine_raises_is_a_500_and_the_worker_lives_on(poisoned, poison):
    pid = poisoned.worker_pid()
    status, answer = poisoned.post(poison.__repr__().replace("'", '"').encode())
    assert status == 500
    assert "Traceback" not in answer["error"]
    assert "score.py" not in answer["error"]
    assert poisoned.predictions({"fine": 1}) == {"fine": 1}
    assert poisoned.worker_pid() == pid


def test_a_status_code_of_the_clients_fault_is_answered_with(poisoned):
    status, answer = poisoned.post("unfit")
    assert (status, answer["message"]) == (422, "the model refused the input: a number is wanted")


def test_the_reason_is_in_the_answer_and_the_traceback_in_the_log(poisoned):
    status, answer = poisoned.post("raise")
    assert status == 500
    assert answer["message"] == 'the model failed: KeyError: "the model\'s own reason"'
    poisoned.await_log('raise KeyError("the model')


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        ("die", "ended with status 3"),
        ("exit", "ended with status 4"),
        ("segfault", "was killed by SIGSEGV"),
        ("kill", "was killed by SIGKILL (out of memory?)"),
        ("close", "the worker"),
        ("garble", ""),
    ],
)
def test_a_worker_that_dies_is_replaced_and_its_request_answered_with_the_reason(serve, poison, reason):
    with serve(entry="score.py", files={"score.py": POISON}) as served:
        pid = served.worker_pid()
        status, answer = served.post(poison)
        assert status == 500
        assert reason in answer["error"]
        served.await_ready()
        assert served.predictions("fine") == "fine"
        assert served.worker_pid() != pid
        assert served.metric("lading_worker_restarts_total") == 1


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"[" * 100_000, b"[1] 2"])
def test_a_body_that_is_not_json_never_reaches_the_routine(poisoned, body):
    status, answer = poisoned.post(body)
    assert status == 400
    assert answer["error_code"] == "BAD_REQUEST"


def test_a_routine_is_not_sent_csv(poisoned):
    assert poisoned.ask("POST", "/invocations", b"1,2", {"content-type": "text/csv"})[0] == 415


def test_a_model_that_prints_does_not_disturb_its_answers(serve):
    code = """
        import os, subprocess, sys
        def run(data):
            print("printed" * 10_000)
            sys.stderr.write("told\\n")
            os.write(1, b"raw\\n")
            subprocess.run(["echo", "from a child"], check=True)
            return data
    """
    with serve(entry="score.py", files={"score.py": code}) as served:
        assert [served.predictions(i) for i in range(5)] == list(range(5))
        for text in ("printedprinted", "told", "raw", "from a child"):
            served.await_log(text)


def test_the_worker_sees_nothing_of_the_servers_environment(serve):
    code = """
        import os, sys
        def run(data):
            return [sys.path, dict(os.environ), sorted(sys.modules)]
    """
    environ = {
        "PYTHONPATH": "/nowhere",
        "PYTHONWARNINGS": "error",
        "VIRTUAL_ENV": "/nowhere",
        "LD_LIBRARY_PATH": "/nowhere",
        "MY_OWN": "1",
        "OMP_NUM_THREADS": "3",
    }
    with serve(entry="score.py", files={"score.py": code}, environ=environ) as served:
        path, variables, modules = served.predictions({})
        assert path[0] == str(served.log_path.parent / "code")
    assert not any("lading_runtime" in folder for folder in path)
    assert {key for key in variables if key.startswith(("PYTHON", "VIRTUAL_ENV", "LD_LIBRARY"))} == set()
    assert variables["MY_OWN"] == "1"
    assert variables["OMP_NUM_THREADS"] == "3"
    assert 1 <= int(variables["MKL_NUM_THREADS"]) <= len(os.sched_getaffinity(0))
    assert not {"uvicorn", "uvloop", "msgspec", "httptools", "asyncio", "numpy"} & set(modules)


def test_a_variable_that_the_author_declared_is_kept(serve):
    code = "import os\ndef run(data):\n    return os.environ.get('LD_LIBRARY_PATH')"
    files = {"score.py": code}
    declared = {"LD_LIBRARY_PATH": "/opt/own"}
    with serve(entry="score.py", files=files, variables=declared, environ=declared) as served:
        assert served.predictions({}) == "/opt/own"


@pytest.mark.parametrize(
    ("code", "entry", "reason"),
    [
        ("import no_such_module", "score.py", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def run(data:", "score.py", "SyntaxError"),
        ("x = 1", "score.py", "got no 'run', expected a function"),
        ("def other(data): ...", "score.py:run_it", "got no 'run_it', expected a function"),
        ("class Model: ...", "score.py:Model", "has no predict"),
        ("def run(): ...", "score.py", "run takes no argument"),
        ("def init():\n    raise SystemExit(9)\ndef run(data): ...", "score.py", "ended with status 9"),
        ("import os\nos._exit(5)", "score.py", "the worker ended with status 5"),
        ("import os\nos.abort()", "score.py", "the worker was killed by SIGABRT"),
    ],
)
def test_a_routine_that_cannot_be_loaded_ends_the_server_with_the_reason(serve, code, entry, reason):
    with serve(entry=entry, files={"score.py": code}, ready=False) as served:
        assert served.process.wait(20) == 3
        assert reason in served.log
        assert "giving up: the model does not load" in served.log
        assert not Path(served.uds).exists(), "nothing was bound"


def test_a_lone_surrogate_costs_nothing_but_itself(serve):
    code = r"""
        def run(data):
            if data == "raise":
                raise ValueError("\ud800")
            return ["\ud800", "ü"]
    """
    with serve(entry="score.py", files={"score.py": code}) as served:
        assert served.predictions({}) == ["\ud800", "ü"]
        tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}
        status, answer = served.post({"inputs": [tensor]}, "/v2/models/iris/infer")
        assert (status, answer["outputs"][0]["data"]) == (200, ["?", "ü"])
        status, answer = served.post("raise")
        assert (status, answer["error"]) == (500, "the model failed: ValueError: ?")
        assert served.metric("lading_worker_restarts_total") == 0
