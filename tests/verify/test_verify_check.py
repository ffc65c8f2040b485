"""What a package does is in the report: what matched, what differed and by how much, what it said last."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lading.core.errors import VerifyError
from lading.core.signature import Field, Signature
from lading.core.spec import Example
from sealing import billed, distribution


def example(count=10, off=0.0, **facts):
    rows = [[float(number), 1.0] for number in range(count)]
    return Example({"instances": rows}, [sum(row) + off for row in rows], **facts)


def failed(report):
    assert not report.passed
    return {one.name: one.detail for one in report.checks if not one.passed}


def test_a_package_that_does_what_it_did_passes(check):
    events = []
    report = check(example(100), example(50), events=events.append)
    assert report.passed, report.checks
    assert [one.name for one in report.checks] == [
        "interpreter",
        "distributions",
        "server distributions",
        "read-only root",
        "no network",
        "ready",
        "predictions",
    ]
    assert (report.predictions, report.matched) == (150, 150)
    assert report.checks[-1].detail == "150 of 150 recorded predictions match"
    assert 0 < report.ready_s < 20
    assert 0 < report.latency_ms < 1000
    assert report.peak_memory_bytes > 1 << 20
    assert report.sandbox in {"unshare", "bwrap", "podman", "docker"}
    assert report.output == "server says hello\n"
    assert (events[-1].done, events[-1].total) == (2, 2)
    json.dumps(report.to_json())


def test_differences_are_told_by_example_row_and_distance(check):
    report = check(example(3), example(8, name="larger"), mode="off")
    detail = failed(report)["predictions"]
    assert detail.startswith(
        "0 of 11 recorded predictions match: example 0: row 0: got 1.5, expected 1.0, off by 0.5;"
    )
    assert "larger: row 1: got 2.5" in detail
    assert detail.endswith("; and 6 more")
    assert (report.predictions, report.matched) == (11, 0)


def test_a_tolerance_is_honoured(check):
    assert check(example(5, tolerance=0.6), mode="off").passed


def test_without_recorded_outputs_the_signature_decides(check):
    inputs = {"instances": [[1.0, 2.0], [3.0, 4.0]]}
    report = check(Example(inputs), signature=Signature((), (Field("double"),)))
    assert report.checks[-1].detail == "2 of 2 predictions have the signature's shape and types"


def test_a_type_that_the_signature_does_not_have_fails(check):
    report = check(Example({"instances": [[1.0, 2.0]]}), signature=Signature((), (Field("string"),)))
    assert failed(report)["predictions"].endswith("example 0: row 0: got 3.0, expected a text")


def test_a_signature_of_another_method_than_the_one_that_answers_is_a_warning(check):
    asked = Example({"instances": [[1.0, 2.0], [3.0, 4.0]]})
    report = check(asked, signature=Signature((), (Field("string"),)), method="predict_proba")
    assert report.passed
    (warning,) = [one.detail for one in report.checks if one.name == "signature"]
    assert "row 0: got 3.0, expected a text" in warning
    assert "signature=infer_signature(inputs, model.predict_proba(inputs))" in warning


def test_a_server_that_ends_is_reported_with_its_last_words(check):
    report = check(example(), mode="ends")
    assert list(failed(report)) == ["ready"]
    detail = failed(report)["ready"]
    assert detail.startswith("the server ended with 3 before it was ready:")
    assert "no module named 'sklearn'" in detail
    assert "no module named 'sklearn'" in report.output


@pytest.mark.parametrize(("mode", "why"), [("hangs", "nothing listens"), ("unready", "the model is loading")])
def test_a_server_that_never_is_ready_is_given_up(check, mode, why, monkeypatch):
    monkeypatch.setattr("lading.verify.report._STOP_S", 0.2)
    monkeypatch.setattr("lading.core.patience._FIRST_S", 0.5)
    begun, told = time.monotonic(), []
    report = check(example(), mode=mode, timeout_s=2, events=told.append)
    assert time.monotonic() - begun < 10
    assert why in failed(report)["ready"]
    assert [one.text[:46] for one in told] == ["waiting for the server and its model to be rea"]


@pytest.mark.parametrize("mode", ["slow", "trickles"])
def test_a_request_that_hangs_is_given_up(check, mode):
    begun = time.monotonic()
    report = check(example(), mode=mode, request_timeout_s=1)
    assert time.monotonic() - begun < 15
    assert "POST /invocations: no answer within 1 s" in failed(report)["predictions"]
    assert (report.predictions, report.matched) == (10, 0)


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("refuses", '/invocations answers 400: {"error": "column \'a\' is missing"}'),
        ("dies", "POST /invocations: "),
        ("no json", "answers no JSON: <html>"),
        ("short", "the answer ends early"),
    ],
)
def test_an_answer_that_is_none_is_reported(check, mode, why):
    assert why in failed(check(example(), mode=mode))["predictions"]


def test_endless_output_is_kept_short(check):
    report = check(example(), mode="floods")
    assert report.passed
    assert len(report.output) <= 8000


def test_another_version_a_missing_and_a_foreign_distribution_are_named(check):
    packages = (billed("num-py", "2.0"), billed("absent", "1"))
    detail = failed(check(example(), packages=packages))["distributions"]
    assert detail == (
        "absent: missing, expected 1; num-py: got 2.4.6, expected 2.0; sci-kit: got 1.0, which is not locked"
    )


def test_a_distribution_that_is_there_twice_is_named(check):
    detail = failed(check(example(), files=distribution("opt/lading/env", "sci-kit", "2.0")))["distributions"]
    assert "there twice" in detail


def test_another_interpreter_is_named(check):
    found = failed(check(example(), python="3.99.1"))
    assert "expected Python 3.99.1" in found["interpreter"]


def test_a_model_environment_that_does_not_run_fails_the_report(check):
    report = check(example(), files={"opt/lading/env/bin/python": "/no/such/python"})
    assert "No such file" in failed(report)["environment"]
    assert report.matched == 10


def test_a_server_that_cannot_be_run_at_all_is_an_error(check):
    with pytest.raises(VerifyError, match="/opt/lading/server/bin/python"):
        check(example(), files={"opt/lading/server/bin/python": "/no/such/python"})


def test_without_examples_the_model_still_has_to_load(check):
    report = check()
    assert report.passed
    assert report.checks[-2].detail == "no examples are recorded: the model loads"


def test_nothing_of_it_stays_behind(check, tmp_path):
    check(example())
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
