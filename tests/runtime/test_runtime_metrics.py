"""What `/metrics` says, read by Prometheus' own parsers."""

import hashlib
import json
import math
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from lading_runtime.front import processes
from lading_runtime.front.metrics import Family, Histogram, Metrics, labels, render, with_labels

ECHO = {"score.py": "def init(): pass\ndef run(raw):\n    return 1 / len(raw)\n"}
OPEN = {"accept": "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"}


@pytest.fixture(scope="module")
def watched(serve):
    with serve(entry="score.py", files=ECHO, environ={"LADING_PACKAGE_DIGEST": "sha256:1234"}) as served:
        for _ in range(3):
            assert served.post("four")[0] == 200
        assert served.post("")[0] == 500
        assert served.post(b"{")[0] == 400
        assert served.get("/no/such/route")[0] == 404
        yield served


def scrape(served, parse=prometheus, headers=None):
    status, body, answered = served.ask("GET", "/metrics", headers=headers)
    assert status == 200
    families = {one.name: one for one in parse(body.decode())}
    return families, answered["content-type"]


def value(families, name, /, **wanted):
    found = [
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and wanted.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, wanted, found)
    return found[0]


def test_requests_are_counted_with_their_time_and_size(watched):
    families, kind = scrape(watched)
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    route = {"route": "/invocations"}
    assert value(families, "lading_requests_total", **route, status="200") == 3
    assert value(families, "lading_requests_total", **route, status="500") == 1
    assert value(families, "lading_request_duration_seconds_count", **route) == 5
    assert value(families, "lading_request_bytes_total", **route) == 3 * len('"four"') + len('""') + 1
    assert value(families, "lading_response_bytes_total", **route) > 3 * len('{"predictions":0.25}')
    assert value(families, "lading_refused_total", reason="model_failed") == 1
    assert value(families, "lading_refused_total", reason="resource_does_not_exist") == 1
    assert value(families, "lading_requests_in_flight") == 1


def test_the_model_says_how_long_it_took_who_it_is_and_how_many_serve_it(watched):
    families, _ = scrape(watched)
    own = {"model": "iris", "version": "1"}
    assert value(families, "lading_queue_seconds_count", **own) == 4
    assert value(families, "lading_predict_seconds_count", **own) == 4
    assert 0 < value(families, "lading_predict_seconds_sum", **own) < 10
    assert value(families, "lading_ready", **own) == 1
    assert value(families, "lading_workers_ready", **own) >= 1
    assert value(families, "lading_worker_restarts_total", **own) == 0
    facts = {"name": "iris", "version": "1", "digest": "sha256:1234", "lading": "0.1.0"}
    assert value(families, "lading_build_info", **facts) == 1


def test_open_metrics_are_given_to_who_asks(watched):
    families, kind = scrape(watched, open_metrics, OPEN)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert families["lading_requests"].type == "counter"
    assert families["lading_request_duration_seconds"].type == "histogram"
    plain, _ = scrape(watched)
    assert {one.type for one in plain.values()} == {"counter", "gauge", "histogram"}


def test_front_and_worker_are_processes_of_their_own(watched):
    families, _ = scrape(watched)
    names = {sample.labels["process"] for sample in families["process_resident_memory_bytes"].samples}
    assert {"front", "loader", "worker-0"} <= names
    for name in names:
        assert value(families, "process_resident_memory_bytes", process=name) > 5 << 20
        # a worker that was forked has taken no measurable time yet
        spent_s = value(families, "process_cpu_seconds_total", process=name)
        assert spent_s > 0 or (name == "worker-0" and spent_s == 0)
        assert abs(value(families, "process_start_time_seconds", process=name) - time.time()) < 3600
    assert value(families, "process_open_fds", process="front") > 3


def test_a_package_without_a_digest_is_known_by_its_bill(serve):
    with serve(entry="score.py", files=ECHO) as served:
        families, _ = scrape(served)
        bill = (served.log_path.parent / "bill.json").read_bytes()
    digest = "sha256:" + hashlib.sha256(bill).hexdigest()
    assert value(families, "lading_build_info", digest=digest) == 1
    assert json.loads(bill)["name"] == "iris"


def test_a_process_that_has_ended_is_left_out():
    families = list(processes.families({"front": os.getpid(), "worker": 2**22 + 1}))
    for one in families:
        assert list(one.values) == ['process="front"'], one


@given(st.lists(st.floats(0, 100), max_size=30), st.text())
def test_a_histogram_is_read_back_by_prometheus(values, text):
    histogram = Histogram((0.5, 1.0, 50.0))
    for one in values:
        histogram.observe(one)
    family = Family("seconds", "histogram", "Help.", {labels(model=text): histogram})
    printed = render([family]).decode()
    (read,) = prometheus(printed)
    counts = {s.labels["le"]: s.value for s in read.samples if s.name == "seconds_bucket"}
    assert all(sample.labels["model"] == text for sample in read.samples)
    assert counts["1"] == sum(one <= 1 for one in values)
    assert counts["+Inf"] == len(values)
    total = next(s.value for s in read.samples if s.name == "seconds_sum")
    assert math.isclose(total, sum(values))


def test_labels_are_added_to_what_has_some_and_to_what_has_none():
    family = Family("n", "gauge", "Help.", {"": 1, labels(worker="0"): 2})
    (added,) = with_labels([family], labels(model="a"))
    assert dict(added.values) == {'model="a"': 1, 'model="a",worker="0"': 2}


def test_statuses_of_a_route_share_its_histogram():
    metrics = Metrics()
    metrics.count("/a", 200, 0.002, 3, 5)
    metrics.count("/a", 500, 70.0, 4, 6)
    assert metrics.requests == {("/a", 200): 1, ("/a", 500): 1}
    families = {one.name: one.values for one in metrics.families()}
    duration = families["lading_request_duration_seconds"]['route="/a"']
    assert (sum(duration.counts), duration.counts[-1], duration.total) == (2, 1, 70.002)
    assert families["lading_request_bytes_total"] == {'route="/a"': 7}
    assert families["lading_response_bytes_total"] == {'route="/a"': 11}
