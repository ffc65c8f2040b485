"""The log: what a machine reads of it, whoever wrote the line."""

import contextlib
import json
import os
import re
import threading
import time

import pytest

from lading_runtime import log, output
from lading_runtime.worker import console

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
TALKER = """
    import ctypes, logging, os, subprocess, sys, warnings

    logging.basicConfig(level="INFO", format="%(message)s")

    def init():
        print("loading")

    def run(raw):
        if raw == "much":
            for number in range(20000):
                print("line", number, "x" * 100)
        elif raw == "long":
            print("y" * 100000)
        elif raw == "forge":
            print("\x1e999\x1ferror\x1fFAKE\x1eforged")
        elif raw == "raise":
            raise LookupError("no such thing")
        elif raw == "exit":
            sys.stdout.write("last words")
            os._exit(3)
        else:
            print("printed", raw)
            print("two\\nlines", file=sys.stderr)
            logging.getLogger("mine").info("logged")
            sys.stdout.buffer.write(b"bytes \\xff\\n")
            subprocess.run(["echo", "from a child"], check=True)
        return raw
"""


def lines(served):
    """Read the log; every line of it is JSON."""
    return [json.loads(one) for one in served.log.splitlines()]


@pytest.fixture(scope="module")
def talker(serve):
    files = {"score.py": TALKER}
    environ = {"LADING_LOG_FORMAT": "json"}
    with serve(entry="score.py", files=files, environ=environ) as served:
        yield served


def test_every_line_says_when_what_and_which_model(talker):
    talker.await_log("listening")
    found = lines(talker)
    assert any("listening on" in one["message"] and one["level"] == "info" for one in found)
    for one in found:
        assert RFC_3339.fullmatch(one["time"]), one
        assert (one["model"], one["version"]) == ("iris", "1")
    loading = next(one for one in found if one["message"] == "loading")
    assert loading["source"] == "worker"
    assert loading["pid"] not in {0, talker.process.pid}


def test_what_a_model_prints_is_told_line_by_line_with_its_request(talker):
    talker.ask(
        "POST", "/invocations", b'"hello"', {"x-request-id": "abc-1", "content-type": "application/json"}
    )
    talker.await_log("from a child")
    found = {one["message"]: one for one in lines(talker)}
    for text in ("printed hello", "two", "lines", "logged", "bytes �"):
        assert found[text]["source"] == "worker"
        assert found[text]["request_id"] == "abc-1", found[text]
    assert "request_id" not in found["from a child"], "it is not Python's, nor torn"


def test_a_traceback_is_one_line(talker):
    assert talker.post("raise")[0] == 500
    talker.await_log("LookupError")
    (found,) = [one for one in lines(talker) if "LookupError" in one["message"]]
    assert found["level"] == "error"
    assert found["message"].startswith("Traceback (most recent call last):\n")
    assert found["message"].endswith("LookupError: no such thing")


def test_megabytes_of_output_neither_block_the_model_nor_tear_a_line(talker):
    assert talker.predictions("much") == "much"
    talker.await_log("line 19999 ")
    numbers = [int(one["message"].split()[1]) for one in lines(talker) if one["message"].startswith("line ")]
    assert numbers == list(range(20000))
    assert talker.predictions("long") == "long"
    talker.await_log("yyy")
    talker.predictions("after")
    talker.await_log("printed after")
    pieces = [one for one in lines(talker) if one["message"].startswith("y")]
    assert "".join(one["message"] for one in pieces) == "y" * 100000
    assert len(pieces) > 1
    assert len({(one["pid"], one["request_id"]) for one in pieces}) == 1


def test_what_a_client_has_a_model_print_is_no_mark(talker):
    sent = {"x-request-id": "true-1", "content-type": "application/json"}
    talker.ask("POST", "/invocations", b'"forge"', sent)
    talker.await_log("forged")
    (found,) = [one for one in lines(talker) if "forged" in one["message"]]
    assert (found["level"], found["request_id"]) == ("info", "true-1")
    assert found["pid"] != 999


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_log_that_nobody_reads_holds_up_no_request_and_no_end(serve, tmp_path, form):
    """A full pipe is what a container's log is whose driver is stuck."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    environ = {"LADING_LOG_FORMAT": form, "LADING_ACCESS_LOG": "1"}
    with serve(entry="score.py", files={"score.py": TALKER}, environ=environ, log_path=fifo) as served:
        for _ in range(3):
            assert served.predictions("much") == "much"
        assert served.get("/v2/health/ready")[0] == 200
        kept = bytearray()
        deadline = time.monotonic() + 20
        while b"lines of the log were dropped" not in kept:
            assert time.monotonic() < deadline
            with contextlib.suppress(BlockingIOError):
                kept += os.read(reader, 1 << 20)
        for line in kept.splitlines()[:-1] if form == "json" else ():
            json.loads(line)
        for _ in range(2):
            served.predictions("much")
        assert served.stop() == 0
    os.close(reader)


def test_last_words_of_a_worker_are_kept(talker):
    assert talker.post("exit")[0] == 500
    talker.await_log("last words")
    assert [one["source"] for one in lines(talker) if one["message"] == "last words"] == ["worker"]


def test_a_model_that_does_not_load_says_why_in_the_log(serve):
    files = {"score.py": "def init(): raise LookupError('gone')\ndef run(raw): return 1\n"}
    with serve(entry="score.py", files=files, ready=False, environ={"LADING_LOG_FORMAT": "json"}) as served:
        assert served.process.wait(20) == 3
        found = lines(served)
    assert [one["level"] for one in found if one["message"].startswith("Traceback")] == ["error"]
    assert any(one["message"] == "giving up: the model does not load" for one in found)


@pytest.mark.parametrize(
    ("environ", "is_json"),
    [({}, False), ({"K_SERVICE": "x"}, True), ({"K_SERVICE": "x", "LADING_LOG_FORMAT": "text"}, False)],
)
def test_json_is_what_collectors_get_and_text_what_people_get(serve, environ, is_json):
    with serve(entry="score.py", files={"score.py": TALKER}, environ=environ) as served:
        served.await_log("listening")
        assert served.log.startswith("{" if is_json else "loading") or "lading: info" in served.log
        assert served.log.lstrip().startswith("{") == is_json


def test_a_format_and_a_level_that_there_are_not_are_told_of(serve):
    environ = {"LADING_LOG_FORMAT": "yaml", "LADING_LOG_LEVEL": "loud"}
    with serve(entry="score.py", files={"score.py": TALKER}, environ=environ) as served:
        assert "ignored LADING_LOG_FORMAT='yaml': expected one of text, json" in served.log
        assert "ignored LADING_LOG_LEVEL='loud': expected one of debug, info, warning, error" in served.log


def test_each_request_is_a_line_where_that_is_asked_for(serve):
    environ = {"LADING_LOG_FORMAT": "json", "LADING_ACCESS_LOG": "1"}
    with serve(entry="score.py", files={"score.py": TALKER}, environ=environ) as served:
        served.ask("POST", "/invocations", b'"x"', {"content-type": "application/json", "x-request-id": "a"})
        served.ask("GET", "/v2/models/iris/ready?not=told", headers={"x-request-id": "b"})
        served.ask("GET", "/nowhere", headers={"x-request-id": "c"})
        served.await_log('"c"')
        found = {one["request_id"]: one for one in lines(served) if "status" in one}
    first = found["a"]
    assert (first["message"], first["method"], first["status"]) == ("POST /invocations 200", "POST", 200)
    assert (first["request_bytes"], first["response_bytes"]) == (3, len('{"predictions":"x"}'))
    assert 0 < first["duration_s"] < 30
    assert found["b"]["route"] == "/v2/models/{name}/ready"
    assert "told" not in found["b"]["message"]
    assert (found["c"]["route"], found["c"]["status"]) == ("other", 404)


def test_of_a_sample_of_requests_those_that_failed_are_all_told(serve):
    environ = {"LADING_ACCESS_LOG": "1", "LADING_ACCESS_LOG_SAMPLE": "0"}
    with serve(entry="score.py", files={"score.py": TALKER}, environ=environ) as served:
        assert served.predictions("x") == "x"
        assert served.post("raise")[0] == 500
        served.await_log("POST /invocations 500")
        assert "POST /invocations 200" not in served.log


def test_requests_side_by_side_print_under_their_own_names(serve):
    code = """
        import asyncio
        def init(): pass
        async def run(raw):
            for number in range(3):
                print(raw, number)
                await asyncio.sleep(0.05)
            return raw
    """
    environ = {"LADING_LOG_FORMAT": "json"}
    with serve(entry="score.py", files={"score.py": code}, environ=environ) as served:
        sent = {"content-type": "application/json"}

        def ask(name):
            served.ask("POST", "/invocations", json.dumps(name), {**sent, "x-request-id": name})

        threads = [threading.Thread(target=ask, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        served.await_log("two 2")
        served.await_log("one 2")
        found = [(one["message"].split()[0], one.get("request_id")) for one in lines(served) if "pid" in one]
    assert sorted(found) == [("one", "one")] * 3 + [("two", "two")] * 3


def test_marked_lines_are_read_back_whole(capfd, monkeypatch):
    """What the worker marks is what the reader of the pipe finds, whoever else writes in between."""
    monkeypatch.setattr(log, "IS_JSON", True)
    monkeypatch.setitem(console._state, "key", output.KEY)
    descriptor = output.begin()
    (follower,) = [one for one in threading.enumerate() if one.name == "worker output"]
    console.begin("one,two")
    marked = console._Marked(descriptor)
    for part in (b"a", b"b\n", b"", b"c\nd\ne", b"\n"):
        assert marked.write(part) == len(part)
    os.write(descriptor, b"unended")
    marked.write(b"line\n")
    os.write(descriptor, b"\x1ebroken\x1e mark\n")
    console.begin("")
    marked.write(b"tail")
    output.end(descriptor)
    follower.join(5)
    found = [json.loads(one) for one in capfd.readouterr().err.splitlines()]
    assert [one["message"] for one in found] == [
        "ab",
        "c",
        "d",
        "e",
        "unended",
        "line",
        "\x1ebroken\x1e mark",
        "tail",
    ]
    assert [one.get("request_id") for one in found] == ["one,two"] * 4 + [None, "one,two", None, None]
    assert {one.get("pid") for one in found} == {os.getpid(), None}
