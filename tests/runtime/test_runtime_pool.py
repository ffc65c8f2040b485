"""Several workers: what they share, what one of them takes with it, and who is refused."""

import json
import os
import signal
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

JSON = {"content-type": "application/json"}
SLEEPY_FILES = {
    "score.py": """
        import os, time
        seen = []
        def run(data):
            seen.append(data)
            time.sleep(data.get("sleep_s", 0))
            return [os.getpid(), seen]
    """
}
# a distance of one's own: scikit-learn's code is what batches, and what is measured may do harm
KILLER = """
import os, time
def distance(one, other):
    if 666.0 in (one[0], other[0]):
        os._exit(7)
    if 777.0 in (one[0], other[0]):
        time.sleep(0.4)
    return abs(one - other).sum()
"""


@pytest.fixture(scope="module")
def killer(serve):
    """A nearest neighbour whose measure ends the process at 666 and is slow at 777."""
    from sklearn.neighbors import KNeighborsClassifier

    module = types.ModuleType("killer")
    exec(KILLER, module.__dict__)  # as the worker imports it, by name
    sys.modules["killer"] = module
    model = KNeighborsClassifier(1, algorithm="brute", metric=module.distance)
    model.fit(np.array([[0.0, 0.0], [10.0, 10.0]]), ["low", "high"])
    with serve(model, files={"killer.py": KILLER}) as served:
        yield served
    del sys.modules["killer"]


def ask_together(served, rows):
    """Send a request for each row while the worker is busy, so that they wait together."""
    with ThreadPoolExecutor(len(rows) + 1) as pool:
        slow = pool.submit(served.post, {"instances": [[777.0, 0.0]]})
        served.await_metric("lading_requests_running", 1)
        answers = [pool.submit(served.post, {"instances": [row]}) for row in rows]
        assert slow.result()[0] == 200
        return [one.result() for one in answers]


def test_requests_that_wait_together_are_answered_by_one_call(killer):
    before = killer.metric("lading_batch_requests_count")
    rows = [[float(index), 1.0] for index in range(12)]
    answers = ask_together(killer, rows)
    expected = [["low"] if index < 10 else ["high"] for index in range(12)]
    assert [answer["predictions"] for _, answer in answers] == expected
    assert killer.metric("lading_batch_requests_count") - before <= 3


def test_of_a_batch_that_kills_the_worker_only_the_killer_fails(killer):
    restarts = killer.metric("lading_worker_restarts_total")
    answers = ask_together(killer, [[0.0, 0.0], [666.0, 0.0], [9.0, 9.0], [8.0, 9.0]])
    assert [status for status, _ in answers] == [200, 500, 200, 200]
    assert answers[1][1]["error"] == "the worker ended with status 7 while it answered this request"
    assert [answer["predictions"] for status, answer in answers if status == 200] == [
        ["low"],
        ["high"],
        ["high"],
    ]
    assert 1 <= killer.metric("lading_worker_restarts_total") - restarts <= 2


def test_of_a_batch_that_the_model_refuses_only_the_cause_is_refused(killer):
    answers = ask_together(killer, [[0.0, 0.0], [None, 0.0], [9.0, 9.0]])
    assert [status for status, _ in answers] == [200, 400, 200]
    assert "NaN" in answers[1][1]["error"]


def test_workers_that_are_killed_under_load_cost_no_wrong_answer(serve, named_model, iris):
    rows = iris.to_numpy()
    expected = named_model.predict(iris).tolist()
    columns = list(iris.columns)
    wrong, failed, answered = [], [], []

    def client(served, start, end):
        connection = served.connect()
        index = start
        while time.monotonic() < end:
            index = (index + 7) % len(rows)
            document = {"dataframe_split": {"columns": columns, "data": [rows[index].tolist()]}}
            connection.request("POST", "/invocations", json.dumps(document), JSON)
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status == 200:
                answered.append(1)
                if answer["predictions"] != [expected[index]]:
                    wrong.append((index, answer))
            else:
                failed.append((response.status, answer["error"]))
        connection.close()

    environ = {"LADING_WORKERS": "2"}
    with serve(named_model, environ=environ) as served:
        served.await_metric("lading_workers_ready", 2)
        loader = served.child_pids()[0]
        with ThreadPoolExecutor(8) as pool:
            end = time.monotonic() + 3
            clients = [pool.submit(client, served, start, end) for start in range(8)]
            kills, killed = 0, {loader}
            while time.monotonic() < end - 0.8:
                time.sleep(0.3)
                pid = served.worker_pid()
                if pid in killed:  # a busy machine has not replaced it yet
                    continue
                os.kill(pid, (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)[kills % 3])
                killed.add(pid)
                kills += 1
            for one in clients:
                one.result()
        served.await_metric("lading_workers_ready", 2)
        assert served.metric("lading_worker_restarts_total") == kills
        assert served.child_pids()[0] == loader, "the model was loaded once"
    assert not wrong
    assert {status for status, _ in failed} <= {500}
    assert 0 < len(killed) - 1 == kills
    assert len(failed) <= kills
    assert len(answered) > 100


def test_what_loads_the_model_may_die_and_the_workers_answer_on(serve):
    with serve(entry="score.py", files=SLEEPY_FILES) as served:
        loader, worker = served.child_pids()
        os.kill(loader, signal.SIGKILL)
        served.await_log("the process that loads the model was killed by SIGKILL")
        assert served.predictions({})[0] == worker
        served.await_metric("lading_worker_restarts_total", 1)
        os.kill(worker, signal.SIGKILL)
        served.await_log("the worker was killed by SIGKILL")
        served.await_ready()
        assert served.predictions({})[0] not in {loader, worker}


def test_one_worker_hangs_and_the_other_answers(serve):
    environ = {"LADING_WORKERS": "2", "LADING_REQUEST_TIMEOUT_S": "1.5"}
    with serve(entry="score.py", files=SLEEPY_FILES, environ=environ) as served, ThreadPoolExecutor() as pool:
        served.await_metric("lading_workers_ready", 2)
        slow = pool.submit(served.post, {"sleep_s": 60})
        served.await_metric("lading_requests_running", 1)
        assert len({served.predictions({})[0] for _ in range(20)}) == 1
        assert served.get("/v2/health/ready")[0] == 200
        assert slow.result()[0] == 504
        served.await_metric("lading_workers_ready", 2)


def test_workers_share_what_was_loaded(serve):
    code = """
        import os
        weights = b""
        def init():
            global weights
            weights = os.urandom(48 << 20)
        def run(data):
            return sum(weights[::4096])
    """
    with serve(entry="score.py", files={"score.py": code}, environ={"LADING_WORKERS": "3"}) as served:
        served.await_metric("lading_workers_ready", 3)
        for _ in range(6):
            served.predictions(1)
        pids = served.child_pids()
        assert len(pids) == 4
        proportional = 0
        for pid in pids:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            proportional += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10
        assert proportional < 2 * (48 << 20), "once, and the interpreters"


@pytest.mark.parametrize(
    ("begin", "reason"),
    [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            "threads",
        ),
        ("import socket\nkept = socket.socketpair()", "open"),
        ("kept = open(__file__)", "score.py open"),
    ],
)
def test_what_a_fork_would_break_is_loaded_by_each_worker(serve, begin, reason):
    code = f"{begin}\nimport os\nloaded_by = os.getpid()\ndef run(data):\n    return loaded_by"
    with serve(entry="score.py", files={"score.py": code}, environ={"LADING_WORKERS": "2"}) as served:
        served.await_metric("lading_workers_ready", 2)
        assert reason in served.log
        assert served.predictions(1) in served.child_pids()
        assert len(served.child_pids()) == 2


def test_a_request_whose_client_has_gone_is_not_run(serve):
    with serve(entry="score.py", files=SLEEPY_FILES) as served, ThreadPoolExecutor() as pool:
        slow = pool.submit(served.post, {"sleep_s": 0.8})
        served.await_metric("lading_requests_running", 1)
        leaving = served.connect()
        leaving.request("POST", "/invocations", b'{"who": "gone"}', JSON)
        served.await_metric("lading_queue_length", 1)
        leaving.close()
        served.await_metric("lading_queue_length", 0)
        assert slow.result()[0] == 200
        assert served.predictions({})[1] == [{"sleep_s": 0.8}, {}]


def test_readiness_is_true_exactly_while_there_is_room(serve):
    environ = {"LADING_QUEUE_LENGTH": "1"}
    with serve(entry="score.py", files=SLEEPY_FILES, environ=environ) as served, ThreadPoolExecutor() as pool:
        slow = [pool.submit(served.post, {"sleep_s": 0.5})]
        served.await_metric("lading_requests_running", 1)
        assert served.get("/v2/health/ready")[0] == 200
        slow.append(pool.submit(served.post, {"sleep_s": 0.5}))
        served.await_metric("lading_queue_length", 1)
        status, body, _ = served.get("/v2/health/ready")
        assert (status, json.loads(body)["error"]) == (503, "too many requests are waiting for the model")
        assert served.post({})[0] == 503
        assert [one.result()[0] for one in slow] == [200, 200]
        assert served.get("/v2/health/ready")[0] == 200


def test_a_worker_that_needs_more_than_its_limit_fails_its_request_and_is_replaced(serve):
    code = """
        import os
        kept = []
        def run(data):
            if data:
                kept.append(bytearray(data))
            return [os.getpid(), len(kept)]
    """
    environ = {"LADING_WORKER_MEMORY_BYTES": str(200 << 20)}
    with serve(entry="score.py", files={"score.py": code}, environ=environ) as served:
        pid, _ = served.predictions(50 << 20)
        status, answer = served.post(1 << 30)
        assert (status, answer["error"]) == (
            500,
            "the model failed: MemoryError (the worker may not have more than LADING_WORKER_MEMORY_BYTES)",
        )
        other, kept = served.predictions(0)
        assert other != pid
        assert kept == 0
        assert "the worker ended with status 12" in served.log
        assert "more memory than LADING_WORKER_MEMORY_BYTES allows" in served.log
    with serve(
        entry="score.py",
        files={"score.py": code},
        environ={"LADING_WORKER_MEMORY_BYTES": str(1 << 20)},
        ready=False,
    ) as served:
        assert served.process.wait(20) == 3
        assert "more than LADING_WORKER_MEMORY_BYTES=1048576" in served.log


def test_a_fast_model_gets_one_worker_and_one_that_is_not_known_as_many_as_there_are_cores(serve, bare_model):
    from lading_runtime import cores

    environ = {"LADING_WORKERS": ""}
    with serve(entry="score.py", files=SLEEPY_FILES, environ=environ) as served:
        assert served.metric("lading_workers") == cores.cores()
    with serve(bare_model, environ=environ) as served:
        assert served.metric("lading_workers") == 1


def test_a_batch_never_keeps_a_lone_client_waiting(serve, bare_model):
    environ = {"LADING_BATCH_WAIT_MS": "2000"}
    with serve(bare_model, environ=environ) as served:
        started = time.monotonic()
        for _ in range(20):
            served.predictions({"instances": [[1, 2, 3, 4]]})
        assert time.monotonic() - started < 2, "not once"


def test_batches_are_of_one_form_and_of_so_many_rows_at_most(serve, bare_model, iris):
    rows = iris.to_numpy()
    expected = bare_model.predict(rows).tolist()
    wrong = []

    def client(served, start):
        for index in range(start, 120, 8):
            size = index % 5 + 1
            data = rows[index : index + size].astype(int if start % 2 else float)
            got = served.predictions({"instances": data.tolist()})
            want = expected[index : index + size] if start % 2 == 0 else bare_model.predict(data).tolist()
            if got != want:
                wrong.append(index)

    with serve(bare_model, environ={"LADING_BATCH_ROWS": "6"}) as served:
        threads = [threading.Thread(target=client, args=(served, start)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert served.metric("lading_batch_requests_sum") == 120


@pytest.mark.parametrize(
    ("name", "value"), [("x-request-timeout-seconds", "0.4"), ("x-envoy-expected-rq-timeout-ms", "400")]
)
def test_a_request_whose_time_is_over_is_refused_and_not_run(serve, name, value):
    with serve(entry="score.py", files=SLEEPY_FILES) as served, ThreadPoolExecutor() as pool:
        slow = pool.submit(served.post, {"sleep_s": 1.2})
        served.await_metric("lading_requests_running", 1)
        headers = {**JSON, name: value}
        status, body, _ = served.ask("POST", "/invocations", b'{"who": "late"}', headers)
        assert (status, json.loads(body)["error"]) == (
            504,
            "the 0.4 s that the client gave this request are over",
        )
        assert not slow.done()
        assert served.metric("lading_queue_length") == 0
        assert slow.result()[0] == 200
        for ignored in ("soon", "0", "-1", "nan", "inf"):
            assert served.ask("POST", "/invocations", b"{}", {**JSON, name: ignored})[0] == 200
        assert served.predictions({})[1] == [{"sleep_s": 1.2}, *[{}] * 6]


def test_a_model_whose_arrays_are_mapped_is_shared_too(serve, tmp_path):
    import joblib
    from sklearn.neighbors import KNeighborsClassifier

    table = np.arange(400_000, dtype=float).reshape(-1, 4)
    model = KNeighborsClassifier(1, algorithm="brute").fit(table, np.arange(len(table)) % 7)
    joblib.dump(model, tmp_path / "model.joblib")
    options = {"loader_options": {"file": "model.pkl", "serialization": "joblib"}}
    environ = {"LADING_WORKERS": "2"}
    data = (tmp_path / "model.joblib").read_bytes()
    with serve(data, bill_model=options, environ=environ) as served:
        served.await_metric("lading_workers_ready", 2)
        assert len(served.child_pids()) == 3
        assert "model.pkl" in Path(f"/proc/{served.worker_pid()}/maps").read_text()
        assert served.predictions({"instances": table[[10, 20]].tolist()}) == [3, 6]


def test_a_model_that_loads_no_more_is_not_given_up_while_a_worker_has_it(serve):
    code = """
        import os, pathlib
        folder = pathlib.Path(__file__).parent
        if (folder / "spoilt").exists():
            raise RuntimeError("no more")
        def run(data):
            if data == "spoil":
                (folder / "spoilt").touch()
                os._exit(1)
            return data
    """
    environ = {"LADING_WORKERS": "2", "LADING_SHARE_MODEL": "0"}
    with serve(entry="score.py", files={"score.py": code}, environ=environ) as served:
        served.await_metric("lading_workers_ready", 2)
        assert served.post("spoil")[0] == 500
        deadline = time.monotonic() + 20
        while served.log.count("the model did not load: RuntimeError: no more") < 5:
            assert time.monotonic() < deadline
            assert served.predictions("fine") == "fine"
            time.sleep(0.05)
        time.sleep(0.2)
        assert served.get("/v2/health/ready")[0] == 200


def test_a_model_that_has_loaded_once_is_loaded_again_however_often_that_is_cut_short(serve):
    code = "import time\ndef init():\n    time.sleep(0.4)\ndef run(data):\n    return data\n"
    environ = {"LADING_WORKERS": "1", "LADING_SHARE_MODEL": "0"}
    with serve(entry="score.py", files={"score.py": code}, environ=environ) as served:
        killed = set()
        for _ in range(6):
            deadline = time.monotonic() + 20
            while not set(served.child_pids()) - killed:
                assert time.monotonic() < deadline, served.log
                time.sleep(0.005)
            killed.update(served.child_pids())
            os.kill(served.worker_pid(), signal.SIGKILL)
        served.await_ready()
        assert served.predictions(1) == 1
