"""A server that shares the model's environment: its version asked for, pushed back, or clashing."""

from __future__ import annotations

import pytest

from lading.core.errors import LockError, SpecError
from lading.core.server import ServerNeeds
from lading.lock import resolve, server_version

FRONT = ServerNeeds("front", ("front-http",), ())


NATIVE = "take the server 'lading', whose environment is its own, so that it cannot clash with the model's"


@pytest.fixture
def shelf(smith):
    """A server of three releases, each on newer libraries, and models that hold them back."""
    for version in ("1.13", "20.1.0", "23.0.0"):
        smith.wheel("gunicorn", version)
    smith.wheel("front-http", "0.7.6", "gunicorn<20")
    smith.wheel("front-http", "1.0.0", "gunicorn>=20,<22", python=">=3.8")
    smith.wheel("front-http", "1.5.1", "gunicorn>=23", python=">=3.9")
    smith.wheel("mlflow", "2.8.1", "gunicorn<22")
    smith.wheel("mlflow", "2.9.0", "gunicorn<24")
    smith.wheel("ancient", "1.0", "gunicorn<2")
    smith.wheel("numpy", "2.0.0")
    smith.wheel("setuptools", "80.9.0")
    smith.wheel("setuptools", "82.0.0")
    return smith


@pytest.fixture
def lock_of(shelf, offline_environ, fetch, resolve_base, bring_python):
    """Resolve; returns the versions by name, and the warnings."""

    def run(question):
        warnings = []
        lock = resolve(
            question,
            fetch=fetch,
            resolve_base=resolve_base,
            bring_python=bring_python,
            environ=offline_environ,
            events=lambda event: warnings.append(event.text) if event.kind == "warning" else None,
        )
        return {one.name: one.version for one in lock.platforms[0].model}, warnings

    return run


def fixes(caught):
    return [issue.fix for issue in caught.value.issues if issue.fix]


def test_the_newest_server_is_taken_in_silence(ask, lock_of):
    found, warnings = lock_of(ask("numpy", "mlflow", server=FRONT))
    assert found["front-http"] == "1.5.1"
    assert warnings == []


def test_a_server_that_was_pushed_back_is_told_with_the_reason(ask, lock_of):
    found, warnings = lock_of(ask("numpy", "mlflow==2.8.1", server=FRONT))
    assert found["front-http"] == "1.0.0"
    assert warnings == [
        "front-http 1.0.0 was taken, newest is 1.5.1, because mlflow==2.8.1 needs gunicorn<22"
    ]


def test_what_an_old_release_imports_and_does_not_require_is_there(ask, lock_of):
    found, _ = lock_of(ask("mlflow==2.8.1", server=FRONT))  # it imports pkg_resources, as gunicorn 20 does
    assert found["setuptools"] == "80.9.0"
    found, _ = lock_of(ask("numpy", server=FRONT))
    assert "setuptools" not in found


def test_what_an_old_release_imports_and_cannot_be_had_is_told(ask, lock_of):
    found, warnings = lock_of(ask("gunicorn==20.1.0", "setuptools>=82", server=FRONT))
    assert found["setuptools"] == "82.0.0"
    assert (
        "gunicorn 20.1.0 needs setuptools<81, which cannot be had beside the rest: it may not start"
        in warnings
    )


def test_a_python_that_pushes_a_server_back_is_the_reason(ask, lock_of):
    _, warnings = lock_of(ask("numpy", server=FRONT, python="3.8"))
    assert warnings == ["front-http 1.0.0 was taken, newest is 1.5.1, because it needs Python >=3.9"]


def test_a_requirement_of_the_models_own_that_pushes_a_server_back_is_the_reason(ask, lock_of):
    _, warnings = lock_of(ask("gunicorn<22", server=FRONT))
    assert warnings == ["front-http 1.0.0 was taken, newest is 1.5.1, because gunicorn<22 is asked for"]


def test_a_constraint_that_pushes_a_server_back_is_told(ask, lock_of, tmp_path):
    (tmp_path / "limits.txt").write_text("gunicorn<22\n")
    (tmp_path / "requirements.txt").write_text("numpy\n-c limits.txt\n")
    _, warnings = lock_of(ask(requirements_file=tmp_path / "requirements.txt", server=FRONT))
    assert warnings == ["front-http 1.0.0 was taken, newest is 1.5.1, because of the constraints"]


def test_a_server_of_another_major_version_is_refused_with_the_ways_out(ask, lock_of):
    with pytest.raises(LockError) as caught:
        lock_of(ask("numpy", "ancient", server=FRONT))
    (issue,) = caught.value.issues
    assert issue.where == "server (front)"
    assert issue.what == (
        "front-http 0.7.6 would be taken, of another major version than the newest, 1.5.1, "
        "because ancient needs gunicorn<2"
    )
    assert "take version 0.7.6 of the server" in issue.fix
    assert "take the server 'lading'" in issue.fix


@pytest.mark.parametrize("version", ["0.7.6", "<1"])
def test_an_old_server_that_is_asked_for_is_taken_in_silence(ask, lock_of, version):
    found, warnings = lock_of(ask("numpy", "ancient", server=FRONT, server_version=version))
    assert found["front-http"] == "0.7.6"
    assert warnings == []


def test_a_version_in_the_models_own_requirements_counts_as_asked_for(ask, lock_of):
    found, warnings = lock_of(ask("numpy", "front-http==1.0.0", server=FRONT))
    assert found["front-http"] == "1.0.0"
    assert warnings == []


def test_a_clash_with_the_version_asked_for_names_both_chains(ask, lock_of):
    with pytest.raises(LockError) as caught:
        lock_of(ask("numpy", "mlflow==2.8.1", server=FRONT, server_version="1.5.1"))
    assert [(issue.where, issue.what) for issue in caught.value.issues[1:3]] == [
        ("model (spec)", "mlflow==2.8.1 → gunicorn<22"),
        ("server (front)", "front-http==1.5.1 → gunicorn>=23"),
    ]
    loosened = "ask for 'mlflow~=2.8' instead of 'mlflow==2.8.1' (it would be 2.9.0)"
    assert fixes(caught) == [f"take version 1.0.0 of the server, or {loosened}, or {NATIVE}"]


def test_what_the_ways_out_say_resolves(ask, lock_of):
    lock_of(ask("mlflow==2.8.1", server=FRONT, server_version="1.0.0"))
    lock_of(ask("mlflow~=2.8", server=FRONT, server_version="1.5.1"))
    lock_of(ask("mlflow==2.8.1"))


def test_another_python_is_a_way_out_where_it_is_one(ask, lock_of):
    with pytest.raises(LockError) as caught:
        lock_of(ask("numpy", server=FRONT, server_version="1.5.1", python="3.8"))
    assert caught.value.issues[0].what == "front-http==1.5.1 needs Python >=3.9, the package has 3.8"
    assert fixes(caught) == [f"take version 1.0.0 of the server, or take Python 3.9, or {NATIVE}"]


def test_a_version_that_does_not_exist_comes_with_one_that_does(ask, lock_of):
    with pytest.raises(LockError) as caught:
        lock_of(ask("numpy", server=FRONT, server_version="9.9"))
    assert caught.value.issues[0].what.startswith("there is no front-http==9.9")
    assert fixes(caught)[0].startswith("take version 1.5.1 of the server")


def test_the_native_server_is_no_way_out_of_what_the_model_alone_cannot_have(ask, lock_of):
    with pytest.raises(LockError) as caught:
        lock_of(ask("numpy", "gunicorn==1.13", "mlflow==2.8.1", "gunicorn>=20", server=FRONT))
    assert "lading" not in "".join(fixes(caught))


def test_the_question_of_another_version_has_another_digest(ask):
    digests = {ask("numpy", server=FRONT, server_version=one).digest for one in (None, "1.0.0", "1.5.1")}
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("server", "version", "what"),
    [
        (FRONT, "newest", "got 'newest', expected a version such as '1.4.1'"),
        (ServerNeeds("lading", ("uvloop",), ()), "1.0", "is lading's own"),
        (ServerNeeds("triton", (), ()), "24.1", "is no Python package"),
    ],
)
def test_a_version_that_cannot_be_chosen_is_refused(server, version, what):
    with pytest.raises(SpecError, match=what):
        server_version.requirements(server, version)
