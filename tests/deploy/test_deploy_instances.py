"""Instances are probed, taken out, started anew; a rollout never has fewer that answer than it must."""

import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.digest import Digest
from lading.core.endpoint import Deployment, Probe
from lading.core.errors import DeployError, Issue
from lading.deploy.folder import Folder
from lading.deploy.instance import Instance
from lading.deploy.logfile import LogFile, follow, last_lines
from lading.deploy.rollout import Record, Rollout
from lading.deploy.target import Address, Started

SERVER = """
import http.server, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_well = not os.path.exists(os.path.join(sys.argv[1], "ill" + self.path.replace("/", "-")))
        self.send_response(200 if is_well else 503)
        self.end_headers()
    def address_string(self):
        return "-"
    def log_message(self, *_):
        pass
print("started", flush=True)
socketserver.UnixStreamServer(sys.argv[1] + "/s", Handler).serve_forever()
"""
DIGEST = Digest.of(b"package")
QUICK = Probe(initial_delay=0, period=1, timeout=1, success_threshold=1, failure_threshold=1)


class Process:
    """A process on this machine (core.ports.Running)."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._said = b""

    def poll(self):
        return self.process.poll()

    def wait(self, timeout_s=None):
        return self.process.wait(timeout_s)

    def stop(self, timeout_s=10.0):
        self.process.terminate()
        self.process.wait(timeout_s)
        self.output()
        self.process.stdout.close()
        return self.process.returncode

    def output(self):
        if self.process.poll() is not None and not self.process.stdout.closed:
            self._said += self.process.stdout.read()
        return self._said.decode()

    def follow(self, log):
        pass

    def peak_memory_bytes(self):
        return 0


class Here:
    """Runs a tiny server for each instance (deploy.Target)."""

    def __init__(self, argv):
        self.argv = argv
        self.folders = []

    def start(self, _, folder, __):
        self.folders.append(folder)
        if self.argv is None:
            raise DeployError(Issue("target", "is full"))
        return Started(
            Process([*self.argv, str(folder)]), Address(socket=f"{folder}/s"), "/live", "/ready", "/"
        )


PATIENT = replace(QUICK, initial_delay=30)


def deployment(readiness_probe=PATIENT, **more):
    probes = {"liveness_probe": QUICK, "readiness_probe": readiness_probe}
    return Deployment("blue", "mine", "p:1", DIGEST, **probes, **more)


@pytest.fixture
def begin(tmp_path):
    begun = []
    place = Path(tempfile.mkdtemp(prefix="lading-"))

    def begin(argv, **more):
        target = Here(argv)
        log = LogFile(tmp_path / "logs" / "blue-1.log")
        one = Instance(
            "blue-1", deployment(**more), target, folder=place / "i", log=log, changed=threading.Event().set
        )
        begun.append(one)
        return one, target

    yield begin
    for one in begun:
        one.end()
    for one in begun:
        one.join(30)
        assert one.is_over
    assert not list(place.iterdir())
    place.rmdir()


def wait(is_so, timeout_s=30.0):
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


RUN = [sys.executable, "-c", SERVER]


def test_an_instance_that_is_not_well_is_taken_out_and_one_that_does_not_live_is_started_anew(begin):
    one, target = begin(RUN)
    wait(lambda: one.is_ready)
    ill = target.folders[0] / "ill-ready"
    ill.touch()
    wait(lambda: not one.is_ready)
    assert one.state().state == "not ready"
    assert "/ready has not answered well 1 times" in one.state().reason
    ill.unlink()
    wait(lambda: one.is_ready)
    assert one.restarts == 0
    (target.folders[0] / "ill-live").touch()
    wait(lambda: one.restarts == 1)
    wait(lambda: one.is_ready)
    assert len(target.folders) == 2


def test_what_ends_or_cannot_be_started_or_is_too_slow_says_why(begin):
    one, _ = begin([sys.executable, "-c", "print('no such model'); raise SystemExit(3)"])
    wait(lambda: one.has_failed)
    assert one.state().reason == "it ended with status 3\n    no such model"
    one, _ = begin([sys.executable, "-c", "print('begun')\n1 / 0"])
    wait(lambda: one.has_failed)
    assert one.state().reason.startswith("it ended with status 1: ZeroDivisionError: division by zero (")
    one, _ = begin(None)
    wait(lambda: one.has_failed)
    assert one.state().reason == "it could not be started: target: is full"
    one, _ = begin([sys.executable, "-c", "import time; time.sleep(60)"], readiness_probe=QUICK)
    wait(lambda: one.has_failed)
    assert one.state().reason.startswith("it was not ready within 1 s")


@dataclass(eq=False)
class Part:
    """An instance whose life is told."""

    name: str
    deployment: Deployment
    is_ready: bool = False
    has_failed: bool = False
    is_over: bool = False
    leaves_since: float | None = None
    reason: str = "it ended"

    @property
    def template(self):
        return self.deployment.template

    def end(self):
        self.is_over, self.is_ready = True, False


def rollout(record):
    kept, parts = [], []

    def start(wanted):
        parts.append(Part(f"blue-{len(parts)}", wanted))
        return parts[-1]

    made = Rollout(record, start, kept.append, lambda _: None)
    return made, kept


def settle(made):
    for _ in range(30):
        made.step()
        for one in made.instances:
            if one.leaves_since is None:
                one.is_ready = not one.has_failed
            else:
                one.end()


def serving(made):
    return [one for one in made.instances if one.is_ready and one.leaves_since is None]


@given(st.integers(1, 4), st.integers(1, 4), st.lists(st.integers(0, 7), max_size=40))
def test_at_no_step_do_fewer_answer_than_before_and_after(before, after, moves):
    made, _ = rollout(Record(deployment(instance_count=before)))
    settle(made)
    assert (len(serving(made)), made.record.state) == (before, "succeeded")
    made.want(deployment(instance_count=after, environment_variables={"A": "1"}), all_traffic=False)
    for move in moves:
        made.step()
        assert len(serving(made)) >= min(before, after)
        assert len([one for one in made.instances if one.leaves_since is None]) <= max(before, after) + 1
        able = [one for one in made.instances if not one.is_ready and one.leaves_since is None]
        if able:
            able[move % len(able)].is_ready = True
    settle(made)
    assert {one.template for one in serving(made)} == {made.record.wanted.template}
    assert (len(made.instances), made.record.state) == (after, "succeeded")


def test_one_that_fails_goes_back_to_what_was_good():
    made, kept = rollout(Record(deployment(instance_count=2)))
    settle(made)
    good = made.record.good
    made.want(replace(deployment(instance_count=2), environment_variables={"A": "1"}), all_traffic=True)
    made.step()
    (new,) = [one for one in made.instances if one.template != good.template]
    new.has_failed = True
    settle(made)
    assert (made.record.state, made.record.good) == ("failed", good)
    assert kept[-1] == made.record
    assert "it ended" in made.record.reason
    assert [one.template for one in serving(made)] == [good.template] * 2


def test_the_first_that_fails_leaves_nothing_behind():
    made, _ = rollout(Record(deployment(instance_count=3)))
    made.step()
    made.instances[1].has_failed = True
    settle(made)
    assert (made.record.state, made.instances) == ("failed", [])


def test_a_log_begins_anew_when_it_is_long_and_the_last_one_is_kept(tmp_path):
    log = LogFile(tmp_path / "deep" / "a.log", most_bytes=20)
    for number in range(9):
        log.write(f"line {number}\n".encode())
    assert last_lines(log.path, 3) == ["line 6", "line 7", "line 8"]
    assert {one.name for one in log.path.parent.iterdir()} == {"a.log", "a.log.1"}
    assert not last_lines(log.path, 0)


def test_a_log_is_followed_beyond_its_new_beginning(tmp_path):
    log = LogFile(tmp_path / "blue-1.log", most_bytes=20)
    log.write(b"before it was followed\n")
    lines = follow(tmp_path, None)
    writer = threading.Timer(0.5, lambda: [log.write(f"line {n}\n".encode()) for n in (1, 2)])
    writer.start()
    assert [next(lines), next(lines)] == ["[blue-1] line 1", "[blue-1] line 2"]
    writer.join()
    LogFile(tmp_path / "blue-2.log").write(b"another\n")
    assert next(lines) == "[blue-2] another"


def test_what_a_killed_supervisor_left_behind_is_taken_away(tmp_path):
    folder = Folder(tmp_path / "endpoints")
    folder.make()
    left = folder.world()
    (left / "instance").mkdir()
    world = folder.world()
    assert not left.exists()
    assert folder.root.stat().st_mode & 0o077 == 0
    world.rmdir()
