"""From exec to exit: loading, refusing, hanging, draining, ending."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SLEEPY = """
    import os, time
    def run(data):
        time.sleep(data["sleep_s"])
        return os.getpid()
"""
SLEEPY_FILES = {"score.py": SLEEPY}
EACH_LOADS = {"LADING_SHARE_MODEL": "0"}
ECHO_FILES = {"score.py": "def run(data):\n    return data"}


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def await_end(pid, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_request_in_flight_is_answered_after_sigterm_and_the_exit_is_clean(serve):
    with serve(entry="score.py", files=SLEEPY_FILES) as served, ThreadPoolExecutor() as pool:
        answers = [pool.submit(served.post, {"sleep_s": 0.4}) for _ in range(3)]
        deadline = time.monotonic() + 10
        while served.metric("lading_requests_in_flight") < 4:
            assert time.monotonic() < deadline
        worker = served.worker_pid()
        assert served.stop() == 0
        assert [one.result()[0] for one in answers] == [200, 200, 200]
        assert not is_alive(worker)
        assert not Path(served.uds).exists()


def test_an_idle_server_ends_at_once_even_with_an_open_connection(serve):
    durations_s = []
    for _ in range(3):  # the machine may be busy at one of them
        with serve(entry="score.py", files=ECHO_FILES) as served:
            connection = served.connect()
            connection.request("GET", "/ping")
            assert connection.getresponse().read() == b"\n"
            started = time.monotonic()
            assert served.stop() == 0
            durations_s.append(time.monotonic() - started)
            connection.close()
    assert min(durations_s) < 0.15


def test_a_drain_that_takes_longer_than_the_grace_is_cut_short(serve):
    environ = {"LADING_GRACE_S": "2"}
    with serve(entry="score.py", files=SLEEPY_FILES, environ=environ) as served, ThreadPoolExecutor() as pool:
        slow = [pool.submit(served.post, {"sleep_s": 60}) for _ in range(2)]  # the other one waits
        time.sleep(0.3)
        worker = served.worker_pid()
        started = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - started < 5
        await_end(worker)
        assert [one.result()[0] for one in slow] == [503, 503]
        assert "shutting down" in slow[0].result()[1]["error"]
        assert "2 requests were abandoned" in served.log


def test_a_lame_duck_still_answers_but_is_no_longer_ready(serve):
    environ = {"LADING_LAME_DUCK_S": "1.5"}
    with serve(entry="score.py", files=ECHO_FILES, environ=environ) as served:
        served.process.send_signal(signal.SIGTERM)
        served.await_log("shutting down")
        status, body, _ = served.get("/v2/health/ready")
        assert status == 503
        assert json.loads(body) == {"error": "the server is shutting down", "live": True, "ready": False}
        assert served.get("/ping")[0] == 503
        assert served.get("/v2/health/live")[0] == 200
        status, _, headers = served.ask("POST", "/invocations", b"1", {"content-type": "application/json"})
        assert status == 200
        assert headers["connection"] == "close"
        assert served.process.wait(10) == 0


def test_sigterm_while_the_model_loads_ends_the_server(serve):
    files = {"score.py": "import time\ntime.sleep(60)\ndef run(data): ..."}
    with serve(entry="score.py", files=files, ready=False) as served:
        time.sleep(0.5)
        worker = served.worker_pid()
        assert served.stop() == 0
        await_end(worker)


def test_sigint_ends_the_server_at_once(serve):
    with serve(entry="score.py", files=SLEEPY_FILES) as served, ThreadPoolExecutor() as pool:
        slow = pool.submit(served.post, {"sleep_s": 30})
        time.sleep(0.3)
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(5) == 0
        assert slow.exception() is not None or slow.result()[0] >= 500


def test_the_worker_does_not_outlive_a_server_that_is_killed(serve):
    with serve(entry="score.py", files=SLEEPY_FILES) as served:
        idle = served.worker_pid()
        served.process.kill()
        served.process.wait()
        await_end(idle)
    with serve(entry="score.py", files=SLEEPY_FILES) as served, ThreadPoolExecutor() as pool:
        slow = pool.submit(served.post, {"sleep_s": 60})
        time.sleep(0.3)
        busy = served.worker_pid()
        served.process.kill()
        served.process.wait()
        await_end(busy)
        assert slow.exception() is not None


def test_a_hanging_request_is_answered_with_504_and_takes_no_other_with_it(serve):
    environ = {"LADING_REQUEST_TIMEOUT_S": "0.7"}
    with serve(entry="score.py", files=SLEEPY_FILES, environ=environ) as served, ThreadPoolExecutor() as pool:
        hanging = served.worker_pid()
        slow = pool.submit(served.post, {"sleep_s": 60})
        time.sleep(0.3)
        others = [pool.submit(served.post, {"sleep_s": 0}) for _ in range(3)]
        status, answer = slow.result()
        assert status == 504
        assert answer["error_code"] == "DEADLINE_EXCEEDED"
        assert [one.result()[0] for one in others] == [200, 200, 200]
        assert others[0].result()[1]["predictions"] != hanging
        await_end(hanging)
        assert "the worker was ended for taking longer than 0.7 s; another one starts in 0 s" in served.log
        assert "out of memory" not in served.log


def test_what_a_hanging_model_started_ends_with_it(serve):
    code = """
        import subprocess, time
        def run(data):
            child = subprocess.Popen(["sleep", "300"])
            if data == "hang":
                time.sleep(60)
            return child.pid
    """
    environ = {"LADING_REQUEST_TIMEOUT_S": "1"}
    with serve(entry="score.py", files={"score.py": code}, environ=environ) as served:
        child = served.predictions("once")
        assert is_alive(child)
        assert served.post("hang")[0] == 504
        await_end(child)


@pytest.mark.parametrize("leave_group", ["", "os.setsid()"])
def test_a_worker_that_ends_is_replaced_though_a_child_it_forked_lives_on(serve, leave_group):
    code = f"""
        import os, time
        def run(data):
            if data == "die":
                os._exit(3)
            if data == "fork":
                child = os.fork()
                if not child:
                    {leave_group or "pass"}
                    time.sleep(60)
                    os._exit(0)
                return child
            return data
    """
    with serve(entry="score.py", files={"score.py": code}) as served:
        child = served.predictions("fork")
        try:
            status, answer = served.post("die")
            assert (status, answer["error"]) == (
                500,
                "the worker ended with status 3 while it answered this request",
            )
            assert served.predictions("once more") == "once more"
            assert served.metric("lading_worker_restarts_total") == 1
            if not leave_group:
                await_end(child)
        finally:
            if is_alive(child):
                os.kill(child, signal.SIGKILL)


def test_a_hanging_worker_that_ended_meanwhile_does_not_keep_its_child(serve):
    code = """
        import os, time
        def run(data):
            if data != "fork and hang":
                return data
            child = os.fork()
            if not child:
                os.setsid()
            time.sleep(4)
            os._exit(0)
    """
    environ = {"LADING_REQUEST_TIMEOUT_S": "1"}
    with serve(entry="score.py", files={"score.py": code}, environ=environ) as served:
        assert served.post("fork and hang")[0] == 504
        assert served.predictions("next") == "next"


def test_readiness_is_lost_while_a_worker_is_replaced_and_comes_back(serve):
    code = """
        import os, pathlib, time
        flag = pathlib.Path(__file__).with_name("flag")
        if flag.exists():
            time.sleep(1)
        flag.touch()
        def run(data):
            if data == "die":
                os._exit(1)
            return data
    """
    with serve(entry="score.py", files={"score.py": code}, environ=EACH_LOADS) as served:
        assert served.post("die")[0] == 500
        status, body, _ = served.get("/v2/health/ready")
        assert status == 503
        assert json.loads(body)["ready"] is False
        assert served.get("/v2/health/live")[0] == 200
        assert served.get("/v2/models/iris/ready")[0] == 503
        assert served.predictions("waits for the new worker") == "waits for the new worker"
        assert served.get("/v2/health/ready")[0] == 200


def test_a_model_that_loads_no_more_ends_the_server_after_some_tries(serve):
    code = """
        import os, pathlib
        flag = pathlib.Path(__file__).with_name("flag")
        if flag.exists():
            raise RuntimeError("no more")
        flag.touch()
        def run(data):
            os._exit(1)
    """
    with serve(entry="score.py", files={"score.py": code}, environ=EACH_LOADS) as served:
        assert served.post(1)[0] == 500
        assert served.process.wait(30) == 3
        assert served.log.count("the model did not load: RuntimeError: no more") == 5


def test_a_full_queue_refuses_with_retry_after_and_loses_nothing(serve):
    environ = {"LADING_QUEUE_LENGTH": "2"}
    with serve(entry="score.py", files=SLEEPY_FILES, environ=environ) as served:
        body = b'{"sleep_s": 0.3}'
        headers = {"content-type": "application/json"}
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: served.ask("POST", "/invocations", body, headers), range(8)))
        statuses = sorted(status for status, _, _ in answers)
        assert statuses == [200] * 3 + [503] * 5
        refused = next(answer for answer in answers if answer[0] == 503)
        assert refused[2]["retry-after"] == "1"
        assert json.loads(refused[1])["error_code"] == "TEMPORARILY_UNAVAILABLE"


@pytest.mark.parametrize("clients", [1, 2])
def test_as_many_sequential_clients_as_there_is_room_for_are_never_refused(serve, clients):
    environ = {"LADING_QUEUE_LENGTH": str(clients - 1)}

    def ask_many(served):
        connection = served.connect()
        statuses = set()
        for _ in range(500):
            connection.request("POST", "/invocations", b"[1]", {"content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            statuses.add(response.status)
        connection.close()
        return statuses

    with serve(entry="score.py", files=ECHO_FILES, environ=environ) as served, ThreadPoolExecutor() as pool:
        for statuses in pool.map(ask_many, [served] * clients):
            assert statuses == {200}


def test_a_request_that_waits_too_long_is_refused_with_503(serve):
    environ = {"LADING_REQUEST_TIMEOUT_S": "1"}
    with serve(entry="score.py", files=SLEEPY_FILES, environ=environ) as served, ThreadPoolExecutor() as pool:
        first = pool.submit(served.post, {"sleep_s": 0.9})
        time.sleep(0.1)
        second = pool.submit(served.post, {"sleep_s": 0.9})
        time.sleep(0.1)
        third = pool.submit(served.post, {"sleep_s": 0.9})
        assert [first.result()[0], second.result()[0], third.result()[0]] == [200, 200, 503]


def test_a_model_that_loads_slowly_is_answered_for_with_503(serve):
    files = {"score.py": "import time\ntime.sleep(2)\ndef run(data):\n    return data"}
    environ = {"LADING_BIND_AFTER_S": "0.2"}
    with serve(entry="score.py", files=files, environ=environ, ready=False) as served:
        served.await_log("still loading, listening on")
        assert served.get("/v2/health/live")[0] == 200
        assert served.get("/v2/health/ready")[0] == 503
        status, body, headers = served.ask("POST", "/invocations", b"1", {"content-type": "application/json"})
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(body)["error"] == "the model is loading"
        served.await_ready()
        assert served.predictions(1) == 1


def test_a_model_that_never_ends_loading_is_given_up(serve):
    files = {"score.py": "import time\ntime.sleep(600)\ndef run(data): ..."}
    with serve(
        entry="score.py", files=files, environ={"LADING_LOAD_TIMEOUT_S": "0.5"}, ready=False
    ) as served:
        assert served.process.wait(10) == 3
        assert "it took longer than 0.5 s" in served.log


def test_an_estimator_that_cannot_be_unpickled_ends_the_server_with_the_reason(serve):
    with serve(b"no pickle", ready=False) as served:
        assert served.process.wait(20) == 3
        assert "UnpicklingError" in served.log
    with serve({"no": "estimator"}, ready=False) as served:
        assert served.process.wait(20) == 3
        assert "got a builtins.dict, expected one with 'predict'" in served.log


def test_metrics_count_what_happened(serve):
    with serve(entry="score.py", files=ECHO_FILES) as served:
        for _ in range(3):
            served.post(1)
        served.post(b"{")
        served.get("/no/such/route")
        status, body, headers = served.get("/metrics")
        text = body.decode()
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'lading_requests_total{route="/invocations",status="200"} 3' in text
    assert 'lading_requests_total{route="/invocations",status="400"} 1' in text
    assert 'lading_requests_total{route="other",status="404"} 1' in text
    assert 'lading_request_duration_seconds_count{route="/invocations"} 4' in text
    assert 'lading_request_duration_seconds_bucket{route="/invocations",le="+Inf"} 4' in text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values["lading_requests_in_flight"] == "1", "this one"
    own = '{model="iris",version="1"}'
    assert values["lading_queue_length" + own] == "0"
    assert values["lading_ready" + own] == "1"
    assert values["lading_worker_restarts_total" + own] == "0"
    assert 0 < float(values["lading_model_load_seconds" + own]) < 10
    documented = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    suffixes = ("_bucket", "_sum", "_count")
    for name in {key.split("{")[0] for key in values}:
        assert any(name in {one, *(one + suffix for suffix in suffixes)} for one in documented), name


def launch(*arguments, **environ):
    return subprocess.run(
        [sys.executable, "-m", "lading_runtime", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_train_is_refused_with_status_2():
    done = launch("train")
    assert done.returncode == 2
    assert "got 'train', expected 'serve'" in done.stderr


@pytest.mark.parametrize(
    "text", [None, "", "nonsense", "[]", '{"model": {}}', '{"environment": 7, "model": 7}']
)
def test_a_bill_that_is_none_ends_the_launcher_with_status_2(tmp_path, text):
    bill = tmp_path / "bill.json"
    if text is not None:
        bill.write_text(text)
    done = launch("serve", LADING_BILL=str(bill))
    assert done.returncode == 2
    assert str(bill) in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interpreter_that_is_not_there_is_named(tmp_path):
    bill = tmp_path / "bill.json"
    model = {"path": "/nowhere", "loader": "pickle"}
    bill.write_text(json.dumps({"environment": {"path": str(tmp_path)}, "model": model}))
    done = launch("serve", LADING_BILL=str(bill))
    assert done.returncode == 1
    assert str(tmp_path / "bin" / "python") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_loader_that_is_none_is_named(serve):
    with serve(bill_model={"loader": "../etc"}, ready=False) as served:
        assert served.process.wait(20) == 3
        assert "got loader '../etc'" in served.log


def test_it_listens_on_the_port_that_is_asked_for(serve, free_port):
    import http.client

    port = free_port()
    environ = {"LADING_UDS": "", "LADING_HOST": "127.0.0.1", "LADING_PORT": str(port)}
    with serve(entry="score.py", files=ECHO_FILES, environ=environ, ready=False) as served:
        served.await_log(f"listening on 127.0.0.1:{port}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/ping")
        assert connection.getresponse().status == 200
        connection.close()
        assert served.stop() == 0


def test_a_port_that_is_taken_is_an_error_that_says_so(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = {"LADING_UDS": "", "LADING_HOST": "127.0.0.1", "LADING_PORT": str(taken.getsockname()[1])}
        with serve(entry="score.py", files=ECHO_FILES, environ=environ, ready=False) as served:
            assert served.process.wait(20) == 1
            assert "no socket to listen on" in served.log
            assert "Traceback" not in served.log


def test_as_process_one_it_collects_the_orphans_of_a_model(serve, tmp_path):
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "-Urpf", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no user namespaces here: apt-get install util-linux, or allow them")
    code = """
        import os, subprocess, time
        def run(data):
            if data == "leave an orphan":
                subprocess.run(["sh", "-c", "setsid sleep 0.1 &"], check=True)
                time.sleep(0.5)
            return sorted(int(one) for one in os.listdir("/proc") if one.isdigit())
    """
    with serve(entry="score.py", files={"score.py": code}, ready=False) as served:
        served.process.kill()
        served.process.wait()
        Path(served.uds).unlink(missing_ok=True)
        folder = served.log_path.parent
        environ = {**os.environ, "LADING_BILL": str(folder / "bill.json"), "LADING_UDS": served.uds}
        inner = [sys.executable, "-m", "lading_runtime"]
        process = subprocess.Popen(
            ["unshare", "-Urpf", "--mount-proc", "--kill-child", *inner],
            env=environ,
            stderr=subprocess.DEVNULL,
        )
        served.process = process
        served.await_ready()
        before = []
        while before != (seen := served.predictions("look")):  # what has forked the workers ends by then
            before = seen
            time.sleep(0.2)
        assert served.predictions("leave an orphan") == before, "no zombie is left"
        process.kill()


def test_many_connections_at_once_are_all_answered_rightly(serve, bare_model, iris):
    rows = iris.to_numpy()
    expected = bare_model.predict(rows).tolist()
    with serve(bare_model, environ={"LADING_QUEUE_LENGTH": "64"}) as served:
        errors = []

        def client(start):
            for index in range(start, len(rows), 16):
                got = served.predictions({"instances": [rows[index].tolist()]})
                if got != [expected[index]]:
                    errors.append(index)

        threads = [threading.Thread(target=client, args=(start,)) for start in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
